"""Errors of the operating system in words that say what to do."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.storage.base import MissingFileError

_HINTS = {
    errno.ENOENT: "there is no such file",
    errno.ENOSPC: "the disk is full; make room and run the command again, finished shards are kept",
    errno.EDQUOT: "the disk quota is used up; make room and run the command again, finished shards are kept",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "permission denied; choose a folder that you may write to",
    errno.EPERM: "permission denied; choose a folder that you may write to",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "there is a folder of that name",
    errno.EIO: "the device reports an error; check the disk",
}


@contextlib.contextmanager
def explained(verb: str, path: Path) -> Iterator[None]:
    """Turns an operating system error into a `StoreError` that says what to do."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, error.strerror or str(error))
        kind = MissingFileError if error.errno == errno.ENOENT else StoreError
        raise kind(f"cannot {verb} {path}: {hint}") from error
