"""Writing files so that a reader sees the old content or the new, never half of it; and their checksum."""

import contextlib
import ctypes
import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Gives a temporary path beside `target`, which is renamed to `target` when the block ends without an error, else removed.

    Args:
        target: The final path; missing parent folders are created.

    Yields:
        The path of an empty file in the same folder, with the same suffix.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    temporary.chmod(0o666 & ~_umask())
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(target: Path, content: bytes | str | Iterable[str]) -> None:
    """Writes `content` (text as UTF-8, also in pieces) to `target` in one step, flushed to disk before the rename."""
    pieces = [content] if isinstance(content, (bytes, str)) else content
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        file.writelines(piece if isinstance(piece, bytes) else piece.encode() for piece in pieces)
        file.flush()
        os.fsync(file.fileno())


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


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
