"""The errors of a damaged store, which say what is wrong, where, and how to repair it."""

from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.schema import STORE_FILE, index_path


def damaged(storage: Storage, shard: str, reason: str) -> StoreError:
    """The error of a damaged shard; it says how to see all of the damage, and how to repair it."""
    return StoreError(
        f"{storage.url}: shard {shard} is damaged: {reason}; see `bonafide store verify`, or remove {index_path(shard)} "
        "there and run `bonafide features`, which writes the shard again"
    )


def damaged_store(storage: Storage, reason: str) -> StoreError:
    """The error of a store whose shards may be intact, while something that belongs to no shard is wrong."""
    return StoreError(
        f"{storage.url} is damaged: {reason}; see `bonafide store verify`, or run `bonafide features`, which writes "
        f"{STORE_FILE} again"
    )
