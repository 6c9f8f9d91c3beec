"""The worklist: the utterances of the shards that are due, in one file beside the store.

Beam elements hold only a shard's name and a byte range of the worklist. A runner keeps its elements in the job's description and
in its master's memory, and the utterances of ten million clips would take more than a gigabyte there. The worklist exists only
while the job runs, together with the job's name. If a new run finds them, the command of that job was killed.
"""

import contextlib
import hashlib
import json
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import StoreError
from pipeline.storage import LocalStorage, Storage, open_storage
from pipeline.store.sharding import Shard, Source, values_of

_SHARDS = "shards"
_JOB = "job"


@dataclass(frozen=True)
class ShardTask:
    """The element of a job: one shard, and the byte range of its utterances in the worklist.

    Attributes:
        name: Of the shard.
        split: Of the shard.
        offset: In bytes.
        length: In bytes.
        sha256: Of these bytes: tells this run's worklist from that of another run.
    """

    name: str
    split: str
    offset: int
    length: int
    sha256: str


@contextlib.contextmanager
def worklist(url: str, shards: Sequence[Shard], job_name: str) -> Iterator[list[ShardTask]]:
    """Writes the worklist, gives the tasks to the block, and removes the worklist after it.

    Args:
        url: Of the store, which the caller has locked.
        shards: Those that are due.
        job_name: Of the job that is going to write them.

    Raises:
        StoreError: The worklist cannot be written.
    """
    storage = work_folder(url)
    discard_worklist(url)  # of a run that was killed
    tasks = []
    offset = 0
    try:
        storage.write(_JOB, job_name.encode())
        with storage.create(_SHARDS) as file:
            for shard in shards:
                rows = [values_of(source) for source in shard.sources]
                # The job's name makes the bytes of every run differ, also for the same utterances.
                packed = zlib.compress(json.dumps([job_name, rows]).encode())
                file.write(packed)
                checksum = hashlib.sha256(packed).hexdigest()
                tasks.append(ShardTask(shard.name, shard.split, offset, len(packed), checksum))
                offset += len(packed)
        yield tasks
    finally:
        discard_worklist(url)


def discard_worklist(url: str) -> None:
    """Removes the work folder of a store, also one that a killed run left. The caller holds the store's lock."""
    storage = work_folder(url)
    if isinstance(storage, LocalStorage):
        shutil.rmtree(storage.root, ignore_errors=True)
        return
    for name in storage.list():
        storage.delete(name)


def orphaned_job(url: str) -> str | None:
    """Name of the job whose command was killed while it wrote to this store. The caller holds the store's lock."""
    storage = work_folder(url)
    return storage.read(_JOB).decode() if storage.exists(_JOB) else None


class Worklist:
    """The worklist, for reading on a worker.

    Args:
        url: Of the store.
    """

    def __init__(self, url: str) -> None:
        self._storage = work_folder(url)

    def read(self, task: ShardTask) -> Shard:
        """The shard of a task.

        Raises:
            StoreError: The worklist does not exist any more, or another run has written its own.
        """
        packed = self._storage.read_range(_SHARDS, task.offset, task.length)
        if hashlib.sha256(packed).hexdigest() != task.sha256:
            raise StoreError(f"{self._storage.url}: another run is writing to this store; this one has to end")
        _, rows = json.loads(zlib.decompress(packed))
        return Shard(task.name, task.split, tuple(Source(*row) for row in rows))


def work_folder(url: str) -> Storage:
    """The hidden folder beside the store for the files of a run: the store itself holds none."""
    parent, slash, name = open_storage(url).url.rpartition("/")
    return open_storage(f"{parent}{slash}.{name}.work")
