"""Writing files so that a reader sees the old content or the new, never half of it; and their checksum."""

import contextlib
import hashlib
import itertools
import json
import os
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
