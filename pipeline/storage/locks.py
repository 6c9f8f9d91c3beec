"""Locks on local files by `flock`, exclusive or shared. The kernel frees those of a dead process."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.errors import StoreError
from pipeline.storage.base import READING, WRITING, held_message, identity
from pipeline.storage.explained import explained

# A reader that ends holds the lock alone for a moment.
_ATTEMPTS: Final = 5
_WAIT_S: Final = 0.05
_CANNOT_LOCK: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENOLCK})


@contextlib.contextmanager
def file_lock(path: Path, url: str, doing: str = WRITING) -> Iterator[None]:
    """Holds an exclusive lock on the file at `path`, which exists only while it is held.

    Args:
        path: The file; its folder exists.
        url: What the lock guards, for messages.
        doing: What its holder does, for the message that another process gets.

    Raises:
        StoreError: Another process holds it, alone or shared; the message names one.
    """
    with explained("lock", path):
        handle = _take_lock(path, url, fcntl.LOCK_EX, doing)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # while the lock is held, so that no other process's file is removed
            path.unlink()
        os.close(handle)


@contextlib.contextmanager
def shared_lock(path: Path, url: str) -> Iterator[None]:
    """Holds a lock on the file at `path` that excludes `file_lock` and no other `shared_lock`.

    Where the file cannot be made, as on a read-only file system, the block runs without a lock.

    Raises:
        StoreError: Another process holds the lock alone; the message names it.
    """
    try:
        handle = _take_shared_lock(path, url)
    except OSError as error:
        if error.errno not in _CANNOT_LOCK:
            raise StoreError(f"cannot lock {path}: {error.strerror}") from error
        handle = None
    try:
        yield
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):  # other readers hold it as well: the last one removes the file
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            os.close(handle)


def _take_shared_lock(path: Path, url: str) -> int:
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(StoreError):
            return _take_lock(path, url, fcntl.LOCK_SH, READING)
        time.sleep(_WAIT_S)
    return _take_lock(path, url, fcntl.LOCK_SH, READING)


def _take_lock(path: Path, url: str, kind: int, doing: str) -> int:
    """Locks the file at `path`, created if missing, and gives its descriptor."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            # The last holder may have removed the file between open and flock: try again with a new one.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    os.ftruncate(handle, 0)
                    os.pwrite(handle, f"{identity()} {doing}".encode(), 0)
                    return handle
        except BlockingIOError:
            holder = os.pread(handle, 1000, 0).decode(errors="replace").strip() or f"another process {doing}"
            os.close(handle)
            raise StoreError(held_message(url, holder)) from None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
