"""Shards that another store has already, because its parameters and clips are the same: they are linked, not written again."""

import contextlib
import os
import shutil
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.files import atomic_path
from pipeline.job.plan import RunPlan
from pipeline.storage import LocalStorage, open_storage
from pipeline.storage.explained import explained
from pipeline.store.resume import plan_resume
from pipeline.store.schema import shard_files


def link_shards(plan: RunPlan, other: str) -> int:
    """Links the shards that are due from another store, where it has them; gives their number.

    Both stores are local. No file of a store is ever written in place, so one file can belong to two.

    Args:
        plan: Of the run; the caller holds the lock of its store.
        other: The other store. One that is not there, is being written or is of other parameters has none of the shards.

    Raises:
        StoreError: A file cannot be linked or copied.
    """
    source, target = open_storage(other), plan.storage
    if not (isinstance(source, LocalStorage) and isinstance(target, LocalStorage)) or not source.root.is_dir():
        return 0
    if source.root.resolve() == target.root.resolve():
        return 0
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(source.reading())
            found = plan_resume(source, plan.resume.pending, plan.config).kept
        except StoreError:  # another process writes it, or the folder holds something else
            return 0
        for shard in found:
            *contents, index = shard_files(shard)
            target.delete(index)
            for name in (*contents, index):  # the index part last, which makes the shard count
                _link(source.path(name), target.path(name))
    return len(found)


def _link(source: Path, target: Path) -> None:
    with explained("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source.resolve(), target)
        except OSError:  # another file system, or one without links
            with atomic_path(target) as copy:
                shutil.copyfile(source, copy)
