"""The section `store` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Section


class StoreParams(Section):
    """How the feature store is cut into shards.

    Attributes:
        shards: Per split; "auto" for the power of two, at least 8, that comes nearest to `target_shard_mib`.
        target_shard_mib: Expected size of a shard in MiB.
    """

    shards: Literal["auto"] | Annotated[int, Field(ge=1, le=99999)]
    target_shard_mib: float = Field(gt=0.0, le=2.0**20)
