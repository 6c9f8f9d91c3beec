"""How the commands open a feature store: locked for reading, checked before it is used."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.store import FeatureStore


class Verify(str, Enum):
    """How much of a store is checked before it is used."""

    quick = "quick"
    full = "full"


VerifyOption = Annotated[
    Verify,
    typer.Option(
        "--verify",
        help="quick: index and sizes at once, each record when it is read. full: `bonafide store verify` first.",
    ),
]


@contextmanager
def opened_store(url: str, verify: Verify, columns: Sequence[str] | None = None) -> "Iterator[FeatureStore]":
    """A feature store that no `bonafide features` changes while the block runs.

    Args:
        url: A folder or s3://bucket/prefix. A store there is not locked.
        verify: How much is checked at once.
        columns: Columns of the index to read; None for all.

    Raises:
        StoreError: There is no complete store, it is damaged, or it is being written.
    """
    from pipeline.storage import open_storage
    from pipeline.store import FeatureStore
    from pipeline.store.verify import require_intact

    storage = open_storage(url)
    with storage.reading():
        if verify is Verify.full:
            require_intact(storage)
        yield FeatureStore.open(url, columns)
