"""Room on the disk for a corpus, and errors of the disk as messages for the user."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import DownloadError


def require_space(folder: Path, n_bytes: int, purpose: str) -> None:
    """Refuses to start what the file system has no room for.

    Args:
        folder: On the file system; must exist.
        n_bytes: Needed bytes.
        purpose: What needs them, for the message.

    Raises:
        DownloadError: It has less than `n_bytes` free.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise DownloadError(
            f"{folder}: {purpose} needs {n_bytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; make room or choose "
            "another folder with --to"
        )


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns errors of the operating system within the block into `DownloadError`s that name `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text = "the disk is full; make room and run the command again, what was fetched is kept"
        else:
            text = f"{error.strerror or error}; choose another folder with --to"
        raise DownloadError(f"{path}: {text}") from error
