"""The interface of a place that keeps files, and what its implementations share."""

import abc
import contextlib
import itertools
import os
import socket
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TypeAlias

from pipeline.errors import StoreError

Names: TypeAlias = list[str]

_READ_AHEAD = 16
"""Files on their way at once."""


class Storage(abc.ABC):
    """The files below one root, each known by a POSIX name relative to it, such as `index/a.parquet`.

    Instances are cheap, safe to share between threads, and can be pickled; open files and connections stay behind.

    Attributes:
        url: The root as the user gave it, without a trailing slash.
        remote: Whether the files are reached over the network.
    """

    remote: ClassVar[bool]

    def __init__(self, url: str) -> None:
        self.url = url

    @staticmethod
    def open(url: str | Path) -> "Storage":
        """Gives the storage of a folder or of `s3://bucket/prefix`. Nothing is read or made yet.

        Raises:
            StoreError: The address has another scheme.
        """
        # Here, since both need this module.
        from pipeline.storage.local import LocalStorage
        from pipeline.storage.s3 import S3Storage

        text = str(url)
        scheme, separator, _ = text.partition("://")
        if not separator:
            return LocalStorage(text)
        if scheme == "s3":
            return S3Storage(text)
        raise StoreError(f"{text}: no storage for {scheme}:// addresses; give a local folder or s3://bucket/prefix")

    def __reduce__(self) -> tuple[Any, ...]:
        return Storage.open, (self.url,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def url_of(self, name: str) -> str:
        """The full address of a file, as TensorFlow, pyarrow or a person would open it."""
        return f"{self.url}/{checked(name)}"

    @abc.abstractmethod
    def read(self, name: str) -> bytes:
        """All bytes of a file.

        Raises:
            StoreError: The file is missing or cannot be read.
        """

    def read_each(self, names: Iterable[str]) -> Iterator[bytes]:
        """All bytes of many files, in order; a few are read ahead at once, since a request to an object store takes its time.

        Raises:
            StoreError: A file is missing or cannot be read.
        """
        if not self.remote:
            yield from map(self.read, names)
            return
        waiting = iter(names)
        with ThreadPoolExecutor(_READ_AHEAD) as pool:
            ahead = deque(pool.submit(self.read, name) for name in itertools.islice(waiting, _READ_AHEAD))
            while ahead:
                data = ahead.popleft().result()
                ahead.extend(pool.submit(self.read, name) for name in itertools.islice(waiting, 1))
                yield data

    @abc.abstractmethod
    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset` on.

        Raises:
            StoreError: The file is missing, cannot be read, or ends earlier.
        """

    @abc.abstractmethod
    def create(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """A file to write from start to end; it appears under its name when the block ends well, else it never does.

        Raises:
            StoreError: The file cannot be written; raised by `write` or at the end of the block.
        """

    def write(self, name: str, data: bytes) -> None:
        """Puts a file there in one step, in place of an older one of that name.

        Raises:
            StoreError: The file cannot be written.
        """
        with self.create(name) as file:
            file.write(data)

    @abc.abstractmethod
    def exists(self, name: str) -> bool:
        """Whether a file of that name is there."""

    @abc.abstractmethod
    def size(self, name: str) -> int:
        """The length of a file in bytes.

        Raises:
            StoreError: The file is missing.
        """

    @abc.abstractmethod
    def list(self, prefix: str = "") -> Names:
        """The sorted names of all files that begin with `prefix`, at any depth; none where the root does not exist."""

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Removes a file; one that is not there is no error."""

    @abc.abstractmethod
    def leftovers(self) -> Names:
        """The sorted names of what killed writers left unfinished; `list` does not show them."""

    @abc.abstractmethod
    def sweep(self) -> Names:
        """Removes `leftovers` and gives their names; for the holder of `lock`, before its workers start."""

    @abc.abstractmethod
    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Keeps other writers out while the block runs.

        Raises:
            StoreError: Another writer holds the lock; the message says who. Raised at once, without waiting.
        """


def identity() -> str:
    """Who this process is, for the message that another writer gets."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def held_message(url: str, holder: str) -> str:
    """What a second writer is told."""
    return f"{url}: {holder} is writing to this store; wait until it ends, or stop it, and run the command again"


def too_short(url: str, offset: int, length: int, size: int) -> StoreError:
    """The error of a range that goes beyond the file's end at `size`."""
    return StoreError(
        f"{url}: bytes {offset} to {offset + length} were wanted, but the file ends at {size}: it was cut"
    )


def checked(name: str) -> str:
    """The name itself, if it stays below the root."""
    parts = name.split("/")
    if "" in parts or "." in parts or ".." in parts:
        raise ValueError(f"not a name relative to the root of a store: {name!r}")
    return name
