"""The utterances of the shards that are due, in one file beside the store: a runner carries where they stand, not themselves.

Ten million utterances are over a gigabyte; a runner holds its elements in the job's description and in the memory of its
master, so an element is a shard's name and a range of this file. The file is there only while the job runs.
"""

import contextlib
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

from pipeline.errors import StoreError
from pipeline.storage import LocalStorage, Storage
from pipeline.store.layout import Shard, Source

_NAME = "shards"
_row = attrgetter(*(field.name for field in fields(Source)))


@dataclass(frozen=True)
class ShardTask:
    """The element of a job: one shard, and where its utterances stand in the list.

    Attributes:
        offset: In bytes.
        length: In bytes.
        sha256: Of these bytes: a list that another run wrote in the meantime is not taken for this one.
    """

    name: str
    split: str
    offset: int
    length: int
    sha256: str


@contextlib.contextmanager
def worklist(url: str, shards: Sequence[Shard]) -> Iterator[list[ShardTask]]:
    """Writes the list of a store's shards, gives the tasks, and removes it in the end.

    Args:
        url: Of the store, which the caller has locked.
        shards: Those that are due.

    Raises:
        StoreError: The list cannot be written.
    """
    storage = _beside(url)
    tasks = []
    offset = 0
    with storage.create(_NAME) as file:
        for shard in shards:
            packed = zlib.compress(json.dumps([_row(source) for source in shard.sources]).encode())
            file.write(packed)
            tasks.append(ShardTask(shard.name, shard.split, offset, len(packed), hashlib.sha256(packed).hexdigest()))
            offset += len(packed)
    try:
        yield tasks
    finally:
        storage.delete(_NAME)
        if isinstance(storage, LocalStorage):
            with contextlib.suppress(OSError):
                storage.root.rmdir()


class Worklist:
    """The list as a worker reads it.

    Args:
        url: Of the store.
    """

    def __init__(self, url: str) -> None:
        self._storage = _beside(url)

    def read(self, task: ShardTask) -> Shard:
        """The shard of a task.

        Raises:
            StoreError: The list is gone, or another run has written its own.
        """
        packed = self._storage.read_range(_NAME, task.offset, task.length)
        if hashlib.sha256(packed).hexdigest() != task.sha256:
            raise StoreError(f"{self._storage.url}: another run is writing to this store; this one has to end")
        return Shard(task.name, task.split, tuple(Source(*row) for row in json.loads(zlib.decompress(packed))))


def _beside(url: str) -> Storage:
    """Hidden, and not in the store: that holds nothing of a run's own."""
    parent, slash, name = url.rpartition("/")
    return Storage.open(f"{parent}{slash}.{name}.work")
