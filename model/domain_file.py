"""domain.json, what a model bundle says of the recordings that its network knows: ranges, and features before the logit.

`model.training.domain` makes it from train and dev, `model.scoring.domain` compares recordings with it.
"""

import json
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.artifacts import DOMAIN_FILE
from model.errors import ModelError
from pipeline.files import write_json

MEASURES: Final = ("duration_s", "level_db", "band_edge_hz", "silence_share", "noise_floor_db")

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Range(_Part):
    """The values of a measure that are like the training data.

    Attributes:
        low: The smallest.
        high: The largest.
    """

    low: _Finite
    high: _Finite

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class Embeddings(_Part):
    """Where the network's features before the logit lie, as probabilistic principal components of each class.

    Attributes:
        means: Of each class, [classes][features].
        directions: Orthonormal directions in which features vary within a class, [directions][features].
        variances: Variance in each direction.
        rest_variance: Mean variance of the other directions.
        limit: Largest distance that is like the training data; see `model.scoring.domain.distances`.
    """

    means: list[list[_Finite]] = Field(min_length=1)
    directions: list[list[_Finite]]
    variances: list[_Positive]
    rest_variance: _Positive
    limit: _Positive

    @model_validator(mode="after")
    def _shapes(self) -> "Embeddings":
        lengths = {len(row) for row in [*self.means, *self.directions]}
        if len(lengths) != 1 or len(self.variances) != len(self.directions):
            raise ValueError("means, directions and variances do not have the same shape")
        return self


class ShortClips(_Part):
    """What clips shorter than the network's window cost, on dev.

    Attributes:
        seconds: Duration that clips were cut to.
        eer: Equal error rate of the cut clips.
    """

    seconds: _Positive
    eer: _Share


class Domain(_Part):
    """The recordings that a network knows.

    Attributes:
        n_train: Train examples that it was fitted on, augmented copies and twins included.
        n_dev: Dev clips that the limits were found on.
        flagged: Share of these dev clips that are called unlike the training data.
        ranges: By measure, of `MEASURES`.
        embeddings: Of the features before the logit.
        whole_eer: Equal error rate of these dev clips as they are.
        short_clips: The same of clips cut shorter than the network's window.
    """

    n_train: _Count
    n_dev: _Count
    flagged: _Share
    ranges: dict[str, Range]
    embeddings: Embeddings
    whole_eer: _Share
    short_clips: list[ShortClips]

    @model_validator(mode="after")
    def _known(self) -> "Domain":
        unknown = sorted(self.ranges.keys() - set(MEASURES))
        if unknown:
            raise ValueError(f"unknown measure {unknown[0]}")
        return self


def write_domain(domain: Domain, folder: Path) -> None:
    """Writes domain.json into the folder of a bundle."""
    write_json(folder / DOMAIN_FILE, domain.model_dump(mode="json"))


def read_domain(folder: Path, remedy: str) -> Domain:
    """Reads domain.json of a bundle.

    Raises:
        ModelError: It cannot be read, or a value is not allowed; the message names the key and the remedy.
    """
    path = folder / DOMAIN_FILE
    try:
        return Domain.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "content"
        raise ModelError(f"{path}: {where}: {first['msg']}; {remedy}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}; {remedy}") from error
