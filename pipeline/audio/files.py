"""Bytes of audio files. Whatever the operating system refuses is an `AudioError` whose detail holds no path."""

import hashlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from pipeline.errors import AudioError

AUDIO_SUFFIXES: Final = frozenset(
    {".flac", ".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".sph"}
    | {".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".webm", ".mka"}
)
"""Endings of the names of audio files that can be decoded, in lower case. What a file holds decides; names only find it."""

_BLOCK_BYTES: Final = 1 << 20


@contextmanager
def open_audio(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Opens a regular file for reading and gives it with its size in bytes.

    Raises:
        AudioError: `missing` (no such file, or a symbolic link to nothing) or `unreadable` (a folder, pipe or device, or the
            operating system refuses), also for errors of reading within the block.
    """
    try:
        status = path.stat()
        # Opening a pipe would wait for ever.
        if stat.S_ISDIR(status.st_mode):
            raise AudioError("unreadable", "a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise AudioError("unreadable", "not a regular file")
        with path.open("rb") as file:
            yield file, status.st_size
    except FileNotFoundError:
        detail = "a symbolic link to nothing" if path.is_symlink() else "no such file"
        raise AudioError("missing", detail) from None
    except OSError as error:
        raise AudioError("unreadable", error.strerror or type(error).__name__) from None


def read_audio(path: Path, most_bytes: int) -> bytes:
    """All bytes of an audio file.

    Args:
        path: Of the file.
        most_bytes: A larger file is refused before it is read.

    Raises:
        AudioError: As for `open_audio`, or `too_long`.
    """
    with open_audio(path) as (file, size):
        require_not_larger(size, most_bytes)
        # No more than its size: some special files never end.
        return file.read(size)


def audio_sha256(file: BinaryIO, size: int) -> str:
    """SHA-256 of the first `size` bytes of an audio file, hexadecimal, read block by block."""
    digest = hashlib.sha256()
    while size > 0 and (block := file.read(min(size, _BLOCK_BYTES))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()


def require_not_larger(size: int, most_bytes: int) -> None:
    """Refuses a file with more bytes as `too_long`."""
    if size > most_bytes:
        raise AudioError("too_long", f"the file has {size:,} bytes, at most {most_bytes:,} are read")
