"""A local copy of a remote store's records, for readers that read them many times or out of order.

A folder holds the copy of one store in one state, and is named after both, so that a file that lies there is right: each is
compared with the checksum of store.json while it comes, and renamed only then. The next reader uses what is there. The copy of
an older state of the same store is removed when nobody reads it.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from pipeline.errors import StoreError
from pipeline.storage import LocalStorage
from pipeline.storage.base import in_parallel
from pipeline.store.reader import FeatureStore
from pipeline.store.schema import records_path

_FILES_AT_ONCE: Final = 4
_SPARE_BYTES: Final = 256 << 20
"""Room that is left on the disk."""

Told = Callable[[int, int], None]


@contextlib.contextmanager
def mirrored(
    store: FeatureStore, splits: Iterable[str], cache: Path, told: Told | None = None
) -> Iterator[FeatureStore]:
    """The store, with the records of some splits read from a local copy while the block runs.

    Args:
        store: At a remote address; a local one is given back as it is.
        splits: Whose records are copied. Those of others are not needed.
        cache: Folder for the copies of stores; made if missing.
        told: Called before files are copied, with their number and bytes.

    Raises:
        StoreError: A file cannot be read or is not that of store.json, or the disk has no room for it.
    """
    if not store.storage.remote:
        yield store
        return
    of_store = hashlib.sha256(store.storage.url.encode()).hexdigest()[:16]
    local = LocalStorage(str(cache / f"{of_store}-{store.info['sha256'][:16]}"))
    _make(cache)
    with contextlib.suppress(StoreError), local.lock():
        local.remove_leftovers()
    _remove_older(cache, of_store, local.root)
    with local.reading():
        names = [records_path(shard) for split in splits for shard in store.shards(split)]
        missing = [name for name in names if not _is_there(local, name, store.info["files"][name]["size"])]
        n_bytes = sum(store.info["files"][name]["size"] for name in missing)
        _require_room(store, cache, n_bytes)
        if missing and told is not None:
            told(len(missing), n_bytes)
        for _ in in_parallel(lambda name: _copy(store, local, name), missing, _FILES_AT_ONCE):
            pass
        try:
            yield store.with_records(local)
        except StoreError as error:
            raise StoreError(f"{error} (its records were read from their copy in {local.root})") from error


def _copy(store: FeatureStore, local: LocalStorage, name: str) -> None:
    digest = hashlib.sha256()
    with local.create(name) as file:
        for block in store.storage.blocks(name):
            digest.update(block)
            file.write(block)
        if digest.hexdigest() != store.info["files"][name]["sha256"]:
            raise StoreError(
                f"{store.storage.url_of(name)} has other bytes than store.json states, or a run is writing the store; "
                f"see `bonafide store verify {store.storage.url}`"
            )


def _is_there(local: LocalStorage, name: str, size: int) -> bool:
    return local.exists(name) and local.size(name) == size


def _require_room(store: FeatureStore, cache: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(cache).free
    if n_bytes and n_bytes + _SPARE_BYTES > free:
        raise StoreError(
            f"{cache} has {free / 2**30:.1f} GiB free, and the copy of the records of {store.storage.url} needs "
            f"{(n_bytes + _SPARE_BYTES) / 2**30:.1f} GiB; name another folder with --cache, or read without a copy with --stream"
        )


def _remove_older(cache: Path, of_store: str, current: Path) -> None:
    for folder in sorted(cache.glob(f"{of_store}-*")):
        if folder != current and folder.is_dir():
            with contextlib.suppress(StoreError), LocalStorage(str(folder)).lock():
                shutil.rmtree(folder, ignore_errors=True)


def _make(cache: Path) -> None:
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder {cache}: {error.strerror}; name another one with --cache") from error
