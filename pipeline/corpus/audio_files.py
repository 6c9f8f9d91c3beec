"""The audio files of a corpus, read by their paths relative to it, from a folder or an object store.

The ids and paths of a corpus come from whoever made it. A path that leaves the corpus is refused before a byte is read.
"""

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Final, TypeAlias

from typing_extensions import override

from pipeline.audio.files import open_audio, require_not_larger
from pipeline.audio.limits import most_bytes
from pipeline.corpus.links import LinkPolicy
from pipeline.corpus.places import CorpusPath, ObjectPath
from pipeline.errors import AudioError
from pipeline.section import ClipParams
from pipeline.storage import LargeFileError, MissingFileError, is_remote, open_storage
from pipeline.storage.base import in_parallel

if TYPE_CHECKING:
    from pipeline.audio.decode import Decoded

_REMOTE_READERS: Final = 32

_Reader: TypeAlias = Callable[[str], bytes | AudioError]


def audio_root(corpus: CorpusPath) -> CorpusPath:
    """The folder that the manifest's paths are relative to: the corpus folder, or the folder of a corpus that is a table."""
    return corpus if corpus.is_dir() else corpus.parent


def absolute_root(root: str | CorpusPath) -> str:
    """The address of a folder of audio for processes with another working folder."""
    address = str(root)
    return address if is_remote(address) else str(Path(address).resolve())


def is_below(relative: str) -> bool:
    """Whether a POSIX path, as text alone, is relative and stays below the folder that it is relative to."""
    path = PurePosixPath(relative)
    return "\0" not in relative and not path.is_absolute() and bool(path.parts) and ".." not in path.parts


class AudioFiles(ABC):
    """The audio files below the root of a corpus, as `audio_root` gives it. Threads may share it.

    Files that cannot be used are an `AudioError`; a storage that does not answer is a `StoreError`, which says nothing about a
    file.

    Attributes:
        readers: Threads that read at once where each reads one file after the other.
    """

    readers: ClassVar[int]

    @abstractmethod
    def open(self, path: str, most_bytes: int) -> AbstractContextManager[tuple[BinaryIO, int]]:
        """Opens a file for reading and gives it with its size in bytes.

        Args:
            path: Relative to the root, as a manifest has it.
            most_bytes: A larger file is refused before it is read.

        Raises:
            AudioError: `missing`, `too_long`, or `unreadable` (the path leaves the corpus, is no regular file, or the operating
                system refuses), also for errors of reading within the block.
            StoreError: The storage refuses, or does not answer.
        """

    def read(self, path: str, most_bytes: int) -> bytes:
        """All bytes of a file; raises as `open`."""
        with self.open(path, most_bytes) as (file, size):
            # No more than its size: some special files never end.
            return file.read(size)

    def decode(self, path: str, params: ClipParams, expected_sha256: str | None = None) -> "Decoded":
        """Reads and decodes a clip, as `pipeline.audio.decode.decode` does; raises as `open`, too."""
        # Loaded on use: a run without work decodes nothing.
        from pipeline.audio.decode import decode_bytes

        return decode_bytes(self.read(path, most_bytes(params.max_duration_s)), params, expected_sha256)

    def read_each(self, paths: Iterable[str], most_bytes: int) -> Iterator[bytes | AudioError]:
        """The bytes of many files in order, or the error of a file. Those of an object store are read some files ahead.

        Raises:
            StoreError: The storage refuses, or does not answer.
        """

        def read(path: str) -> bytes | AudioError:
            try:
                return self.read(path, most_bytes)
            except AudioError as error:
                return error

        return self._each(read, paths)

    @abstractmethod
    def has_entry(self, path: str) -> bool:
        """Whether there is anything of that name, be it a link to nothing."""

    @abstractmethod
    def is_reachable(self) -> bool:
        """Whether the root is seen from here; raises `StoreError` where the storage refuses, or does not answer."""

    @abstractmethod
    def _each(self, read: _Reader, paths: Iterable[str]) -> Iterator[bytes | AudioError]:
        """What `read` gives for each path."""


def open_audio_files(root: str | CorpusPath, links: LinkPolicy | None = None) -> AudioFiles:
    """The audio files of a corpus.

    Args:
        root: Of the corpus, as `audio_root` gives it, or its address.
        links: Where symbolic links may lead; None to follow all.
    """
    address = str(root)
    return _ObjectAudioFiles(address) if is_remote(address) else _LocalAudioFiles(Path(address), links)


class _LocalAudioFiles(AudioFiles):
    readers = min(8, (os.cpu_count() or 1) + 2)

    def __init__(self, root: Path, links: LinkPolicy | None) -> None:
        self._root = root
        self._links = links

    @override
    @contextmanager
    def open(self, path: str, most_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
        found = self._root / _within(path)
        if self._links is not None:
            self._links.require(found)
        with open_audio(found) as (file, size):
            require_not_larger(size, most_bytes)
            yield file, size

    @override
    def has_entry(self, path: str) -> bool:
        return os.path.lexists(self._root / path)

    @override
    def is_reachable(self) -> bool:
        return self._root.is_dir()

    @override
    def _each(self, read: _Reader, paths: Iterable[str]) -> Iterator[bytes | AudioError]:
        return map(read, paths)


class _ObjectAudioFiles(AudioFiles):
    readers = _REMOTE_READERS

    def __init__(self, url: str) -> None:
        self._storage = open_storage(url, whole_bucket=True)

    @override
    @contextmanager
    def open(self, path: str, most_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
        name = _within(path)
        with _told(most_bytes):
            data = self._storage.read(name, most_bytes)
        yield io.BytesIO(data), len(data)

    @override
    def has_entry(self, path: str) -> bool:
        return False  # what is missing there has no name

    @override
    def is_reachable(self) -> bool:
        return self._storage.has_folder()

    @override
    def _each(self, read: _Reader, paths: Iterable[str]) -> Iterator[bytes | AudioError]:
        return in_parallel(read, paths)


def read_object(place: ObjectPath, most_bytes: int) -> bytes:
    """All bytes of an audio file in a bucket; raises as `AudioFiles.open`."""
    with _told(most_bytes):
        return place.read(most_bytes)


@contextmanager
def _told(most_bytes: int) -> Iterator[None]:
    """Turns what a storage says of a file into an `AudioError`."""
    try:
        yield
    except MissingFileError:
        raise AudioError("missing", "no such file") from None
    except LargeFileError as error:
        require_not_larger(error.size, most_bytes)
        raise


def _within(path: str) -> str:
    """The path without empty parts; raises `AudioError` if it leaves the corpus."""
    if not is_below(path):
        raise AudioError("unreadable", "the path leaves the folder of the corpus")
    return str(PurePosixPath(path))
