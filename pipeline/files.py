"""Writing files and folders so that a reader sees the old content or the new, never half of it; and checksums of files.

Unfinished files and temporary folders are locked while they are in use. What a killed process left has no lock, and the next
process that writes the same target, or needs a temporary folder, removes it.
"""

import contextlib
import ctypes
import fcntl
import glob
import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

_TEMPORARY: Final = "bonafide-"


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Gives a temporary path beside `target`, which is renamed to `target` when the block ends without an error, else removed.

    Args:
        target: The final path; missing parent folders are created.

    Yields:
        The path of an empty file in the same folder, with the same suffix.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.stem}-"
    for orphaned in _orphaned(target.parent, f"{glob.escape(prefix)}????????{glob.escape(target.suffix)}"):
        orphaned.unlink(missing_ok=True)
    temporary, handle = _made_and_locked(lambda: _empty_file(prefix, target.suffix, target.parent))
    try:
        temporary.chmod(0o666 & ~_umask())
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def atomic_write(target: Path, content: bytes | str | Iterable[str]) -> None:
    """Writes `content` (text as UTF-8, also in pieces) to `target` in one step, flushed to disk before the rename."""
    pieces = [content] if isinstance(content, (bytes, str)) else content
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        file.writelines(piece if isinstance(piece, bytes) else piece.encode() for piece in pieces)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Gives a folder in the system's place for temporary files, removed at the end of the block; first removes orphaned ones."""
    parent = Path(tempfile.gettempdir())
    for orphaned in _orphaned(parent, f"{_TEMPORARY}????????"):
        shutil.rmtree(orphaned, ignore_errors=True)
    folder, handle = _made_and_locked(lambda: tempfile.mkdtemp(prefix=_TEMPORARY))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


@contextlib.contextmanager
def replaced_folder(target: Path, names: Collection[str]) -> Iterator[Path]:
    """Gives an empty folder, which takes the place of `target` when the block ends without an error, and else is removed.

    Until then the old content of `target` stays. The empty folder lies in `.NAME.work` beside `target`.

    Args:
        target: The final path; missing parent folders are created.
        names: What `target` may hold, as it is replaced as a whole.

    Raises:
        FileExistsError: `target` holds something else, or is a file.
        BlockingIOError: Another process is writing it.
    """
    others = sorted({path.name for path in target.iterdir()} - set(names)) if target.is_dir() else []
    if others or (target.exists() and not target.is_dir()):
        kind = (
            f"holds files of another kind, such as {others[0]}, and would be replaced as a whole"
            if others
            else "is a file"
        )
        raise FileExistsError(f"{target} {kind}; choose an empty or a new folder")
    target = target.resolve()
    work = target.with_name(f".{target.name}.work")
    work.mkdir(parents=True, exist_ok=True)
    handle = os.open(work, os.O_RDONLY)
    try:
        if not _lock(handle):
            raise BlockingIOError(f"{target}: another process is writing it; wait for it or stop it")
        folder = work / "new"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
            swap_in(folder, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    finally:
        os.close(handle)


def swap_in(folder: Path, target: Path) -> None:
    """Puts a finished folder in the place of `target`, which may exist; both are on one file system.

    On Linux a reader sees the old folder or the new at any time. Elsewhere, and on file systems that cannot exchange two folders,
    there is a moment with neither. The old folder is removed.
    """
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.replace(target)
        return
    if not _exchange(folder, target):
        old = folder.with_name(f"{folder.name}.old")
        target.replace(old)
        folder.replace(target)
        folder = old
    shutil.rmtree(folder)


def _exchange(first: Path, second: Path) -> bool:
    """Exchanges two paths in one step; False where this system cannot."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    at_current_folder, rename_exchange = -100, 2
    found = renameat2(at_current_folder, os.fsencode(first), at_current_folder, os.fsencode(second), rename_exchange)
    return bool(found == 0)


def write_json(target: Path, value: Any) -> None:
    """Writes `value` as JSON for people and DVC: sorted keys, two spaces, a newline at the end, no NaN."""
    encoder = json.JSONEncoder(indent=2, sort_keys=True, allow_nan=False)
    atomic_write(target, itertools.chain(encoder.iterencode(value), ["\n"]))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits; the file is read as a whole."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _made_and_locked(make: Callable[[], str]) -> tuple[Path, int]:
    """Makes a file or folder and locks it; gives its path and the descriptor that holds the lock."""
    while True:
        path = Path(make())
        # Another process may have taken it for orphaned before it was locked.
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY)
            if _lock(handle) and path.exists():
                return path, handle
            os.close(handle)


def _empty_file(prefix: str, suffix: str, folder: Path) -> str:
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=folder)
    os.close(handle)
    return name


def _lock(handle: int) -> bool:
    """Locks an open file or folder; False where another process has. The lock ends with the descriptor, or with the process."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # A file system without locks protects nothing, and nothing on it counts as orphaned.
        return not isinstance(error, BlockingIOError)
    return True


def _orphaned(folder: Path, pattern: str) -> Iterator[Path]:
    """The files and folders of a pattern that no process has locked."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield path
            finally:
                os.close(handle)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
