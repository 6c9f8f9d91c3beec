"""How the commands open a feature store: locked for reading, checked before it is used."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
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


CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        envvar="BONAFIDE_CACHE",
        help="Folder for local copies of the records of stores in buckets; default: ~/.cache/bonafide.",
    ),
]
StreamOption = Annotated[
    bool, typer.Option("--stream", help="Read the records of a store in a bucket from there each time, without a copy.")
]


@contextmanager
def copied_store(
    url: str,
    verify: Verify,
    splits: Sequence[str],
    cache: Path | None,
    columns: Sequence[str] | None = None,
    *,
    stream: bool,
) -> "Iterator[FeatureStore]":
    """As `opened_store`; the records of a store in a bucket are copied to this machine first.

    Args:
        url: As of `opened_store`.
        verify: As of `opened_store`.
        splits: Whose records are read.
        cache: Folder for the copies; None for the user's.
        columns: As of `opened_store`.
        stream: Whether records are read from the bucket instead.

    Raises:
        StoreError: As `opened_store`, or the disk has no room for the copy.
    """
    from pipeline.cli.console import console, size
    from pipeline.store.mirror import mirrored

    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bonafide"

    def told(n_files: int, n_bytes: int) -> None:
        console.print(f"{url}: copying {n_files:,} files of records, {size(n_bytes)}, to {folder}", soft_wrap=True)

    with opened_store(url, verify, columns) as store:
        if stream:
            yield store
            return
        with mirrored(store, splits, folder, told) as copied:
            yield copied


@contextmanager
def opened_store(url: str, verify: Verify, columns: Sequence[str] | None = None) -> "Iterator[FeatureStore]":
    """A feature store that no `bonafide features` changes while the block runs.

    Args:
        url: A folder or the address of a bucket and a prefix. A store there is not locked.
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
