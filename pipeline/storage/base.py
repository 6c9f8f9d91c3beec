"""The interface of a storage, and what its implementations share."""

import abc
import contextlib
import itertools
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, ClassVar, Final, TypeAlias, TypeVar

from pipeline.errors import StoreError

Names: TypeAlias = list[str]

_READ_AHEAD: Final = 16
"""Files that are requested at once from a remote storage."""
_BLOCK_BYTES: Final = 8 << 20

_Name = TypeVar("_Name")
_Read = TypeVar("_Read")

WRITING: Final = "is writing to this store"
READING: Final = "is reading this store"


class MissingFileError(StoreError):
    """There is no file of that name."""


class LargeFileError(StoreError):
    """A file has more bytes than its reader takes.

    Attributes:
        size: Of the file in bytes.
    """

    def __init__(self, url: str, size: int, most_bytes: int) -> None:
        super().__init__(f"{url} has {size:,} bytes, at most {most_bytes:,} are read")
        self.size = size
        self._most_bytes = most_bytes
        self._url = url

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._url, self.size, self._most_bytes)


class Storage(abc.ABC):
    """The files below one root, each known by a POSIX name relative to it, such as `index/a.parquet`.

    Instances are cheap, may be shared between threads and pickled; a pickled copy opens its own files and connections.

    Attributes:
        url: The root as the user gave it, without a trailing slash.
        remote: Whether the files are reached over the network.
    """

    remote: ClassVar[bool]

    def __init__(self, url: str) -> None:
        self.url = url

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def url_of(self, name: str) -> str:
        """The full address of a file, as TensorFlow, pyarrow or a person would open it."""
        return f"{self.url}/{checked(name)}"

    @abc.abstractmethod
    def read(self, name: str, most_bytes: int | None = None) -> bytes:
        """All bytes of a file.

        Args:
            name: Of the file.
            most_bytes: A larger file is refused before it is read; None to read any.

        Raises:
            MissingFileError: There is no such file.
            LargeFileError: It has more than `most_bytes`.
            StoreError: The file cannot be read.
        """

    def read_each(self, names: Iterable[str]) -> Iterator[bytes]:
        """All bytes of many files, in order. A remote storage reads some of them ahead, since each request takes time.

        Raises:
            StoreError: A file is missing or cannot be read.
        """
        if not self.remote:
            yield from map(self.read, names)
            return
        yield from in_parallel(self.read, names)

    def blocks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, some MiB at a time, for files that need not fit in memory; raises as `size` and `read_range`."""
        size = self.size(name)
        for offset in range(0, size, _BLOCK_BYTES):
            yield self.read_range(name, offset, min(_BLOCK_BYTES, size - offset))

    @abc.abstractmethod
    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes, beginning at `offset`.

        Raises:
            StoreError: The file is missing, cannot be read, or ends earlier.
        """

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """Fills `buffer`, writable and of single bytes, with the bytes of a file from `offset` on.

        Raises:
            StoreError: As `read_range`.
        """
        buffer[:] = self.read_range(name, offset, len(buffer))

    @abc.abstractmethod
    def create(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """A file to write from start to end. It appears under its name when the block ends without an error, else never.

        Raises:
            StoreError: The file cannot be written; raised by `write` or at the end of the block.
        """

    def write(self, name: str, data: bytes) -> None:
        """Writes a file in one step and replaces an older one of that name.

        Raises:
            StoreError: The file cannot be written.
        """
        with self.create(name) as file:
            file.write(data)

    @abc.abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""

    @abc.abstractmethod
    def size(self, name: str) -> int:
        """The length of a file in bytes.

        Raises:
            StoreError: The file is missing.
        """

    @abc.abstractmethod
    def list(self, prefix: str = "") -> Names:
        """The sorted names of all files that begin with `prefix`, at any depth; none where the root does not exist."""

    def children(self, folder: str = "") -> tuple[Names, Names]:
        """The sorted names of the folders and of the files directly in a folder, relative to it; "" is the root."""
        above = f"{folder}/" if folder else ""
        below = [name.removeprefix(above) for name in self.list(above)]
        return sorted({name.partition("/")[0] for name in below if "/" in name}), [n for n in below if "/" not in n]

    def has_folder(self, folder: str = "") -> bool:
        """Whether there is a file below a folder; "" is the root."""
        return bool(self.list(f"{folder}/" if folder else ""))

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Removes a file; a missing file is no error."""

    @abc.abstractmethod
    def leftovers(self) -> Names:
        """The sorted names of the files that killed writers left unfinished; `list` does not show them."""

    @abc.abstractmethod
    def remove_leftovers(self) -> Names:
        """Removes `leftovers` and gives their names. Only the holder of `lock` may call it, while it has no workers."""

    @abc.abstractmethod
    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Excludes other writers, and readers in `reading`, while the block runs.

        Raises:
            StoreError: Another process holds the lock; the message names it. Raised at once, without waiting.
        """

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Excludes writers while the block runs, and no other readers.

        A remote storage has no such lock: a reader finds out by the checksums of what it reads.

        Raises:
            StoreError: A writer holds the lock; the message names it.
        """
        return contextlib.nullcontext()


def in_parallel(read: Callable[[_Name], _Read], names: Iterable[_Name], n_ahead: int = _READ_AHEAD) -> Iterator[_Read]:
    """Calls a function that waits for answers in as many threads as calls may run ahead; gives the results in order."""
    waiting = iter(names)
    with ThreadPoolExecutor(n_ahead) as pool:
        ahead = deque(pool.submit(read, name) for name in itertools.islice(waiting, n_ahead))
        try:
            while ahead:
                result = ahead.popleft().result()
                ahead.extend(pool.submit(read, name) for name in itertools.islice(waiting, 1))
                yield result
        finally:
            for future in ahead:
                future.cancel()


def identity() -> str:
    """Names this process, for the message that a second writer gets."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def held_message(url: str, holder: str) -> str:
    """The message of a process that cannot have a lock; `holder` says who has it and what it does."""
    return f"{url}: {holder}; wait until it ends, or stop it, and run the command again"


def too_short(url: str, offset: int, length: int, size: int) -> StoreError:
    """The error of a range that exceeds a file of `size` bytes."""
    return StoreError(
        f"{url}: bytes {offset} to {offset + length} were requested, but the file ends at {size}: it was cut"
    )


def checked(name: str) -> str:
    """Gives the name back if it stays below the root.

    Raises:
        ValueError: It does not.
    """
    parts = name.split("/")
    if "" in parts or "." in parts or ".." in parts:
        raise ValueError(f"not a name relative to the root of a store: {name!r}")
    return name
