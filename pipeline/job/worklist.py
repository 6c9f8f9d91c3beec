"""The utterances of the shards that are due, in one file beside the store: a runner carries where they stand, not themselves.

Ten million utterances are over a gigabyte; a runner holds its elements in the job's description and in the memory of its
master, so an element is a shard's name and a range of this file. It is there only while the job runs, and with it the job's
name: where a new run finds them, the command of that job was killed.
"""

import contextlib
import hashlib
import json
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

from pipeline.errors import StoreError
from pipeline.storage import LocalStorage, Storage, open_storage
from pipeline.store.sharding import Shard, Source

_SHARDS = "shards"
_JOB = "job"
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
def worklist(url: str, shards: Sequence[Shard], job_name: str) -> Iterator[list[ShardTask]]:
    """Writes the list of a store's shards, gives the tasks, and removes it in the end.

    Args:
        url: Of the store, which the caller has locked.
        shards: Those that are due.
        job_name: Of the job that is going to write them.

    Raises:
        StoreError: The list cannot be written.
    """
    storage = work_folder(url)
    tasks = []
    offset = 0
    try:
        storage.write(_JOB, job_name.encode())
        with storage.create(_SHARDS) as file:
            for shard in shards:
                rows = [_row(source) for source in shard.sources]
                # The name makes every run's list another one, also of the same utterances.
                packed = zlib.compress(json.dumps([job_name, rows]).encode())
                file.write(packed)
                checksum = hashlib.sha256(packed).hexdigest()
                tasks.append(ShardTask(shard.name, shard.split, offset, len(packed), checksum))
                offset += len(packed)
        yield tasks
    finally:
        discard_worklist(url)


def discard_worklist(url: str) -> None:
    """Removes the work folder of a store, also that of a run that was killed, for the holder of the store's lock."""
    storage = work_folder(url)
    if isinstance(storage, LocalStorage):
        shutil.rmtree(storage.root, ignore_errors=True)
        return
    for name in storage.list():
        storage.delete(name)


def forsaken_job(url: str) -> str | None:
    """Name of the job whose command was killed while it wrote to this store, for the holder of the store's lock."""
    storage = work_folder(url)
    return storage.read(_JOB).decode() if storage.exists(_JOB) else None


class Worklist:
    """The list as a worker reads it.

    Args:
        url: Of the store.
    """

    def __init__(self, url: str) -> None:
        self._storage = work_folder(url)

    def read(self, task: ShardTask) -> Shard:
        """The shard of a task.

        Raises:
            StoreError: The list is gone, or another run has written its own.
        """
        packed = self._storage.read_range(_SHARDS, task.offset, task.length)
        if hashlib.sha256(packed).hexdigest() != task.sha256:
            raise StoreError(f"{self._storage.url}: another run is writing to this store; this one has to end")
        _, rows = json.loads(zlib.decompress(packed))
        return Shard(task.name, task.split, tuple(Source(*row) for row in rows))


def work_folder(url: str) -> Storage:
    """What a run keeps while it lasts, hidden beside the store: that holds nothing of a run's own."""
    parent, slash, name = open_storage(url).url.rpartition("/")
    return open_storage(f"{parent}{slash}.{name}.work")
