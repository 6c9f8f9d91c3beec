"""Where a corpus is: a folder or a table of this machine, or of an object store.

Layouts look for files by `pathlib.Path`. `ObjectPath` has as much of it as they use, so that they read both alike.
"""

import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeAlias

from pipeline.files import temporary_folder
from pipeline.storage import Names, Storage, is_remote, open_storage


class _Bucket:
    """A bucket that is read more than once: what was asked is kept, since each request takes time.

    Attributes:
        storage: Of the bucket.
        is_file: Whether there is a file of some name.
        has_folder: Whether there is a file below a folder.
        children: Folders and files directly in a folder.
        copy: Path of a local copy of a file, which lasts as long as this object.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.is_file = lru_cache(maxsize=None)(storage.exists)
        self.has_folder = lru_cache(maxsize=None)(storage.has_folder)
        self.children = lru_cache(maxsize=1024)(storage.children)
        self.copy = lru_cache(maxsize=None)(self._copy)
        # Locked while this object lives: other commands remove the folders of commands that were killed.
        stack = ExitStack()
        self._folder = stack.enter_context(temporary_folder())
        weakref.finalize(self, stack.close)

    def _copy(self, name: str) -> Path:
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            for block in self.storage.blocks(name):
                file.write(block)
        return Path(file.name)


class ObjectPath:
    """A place in a bucket: an object, a folder of objects, or neither.

    Args:
        bucket: Its bucket.
        key: Without slashes at its ends; "" for the bucket itself.
    """

    def __init__(self, bucket: _Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self._key).name

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self._key).stem

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return PurePosixPath(self._key).suffix

    @property
    def parent(self) -> "ObjectPath":
        """The folder that holds it."""
        return ObjectPath(self._bucket, self._key.rpartition("/")[0])

    def __truediv__(self, name: str) -> "ObjectPath":
        return ObjectPath(self._bucket, str(PurePosixPath(self._key) / name))

    def __str__(self) -> str:
        return f"{self._bucket.storage.url}/{self._key}".rstrip("/")

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"

    def __lt__(self, other: "ObjectPath") -> bool:
        return str(self) < str(other)

    def as_posix(self) -> str:
        """The address."""
        return str(self)

    def exists(self) -> bool:
        """Whether it is a file or a folder."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether there is an object of this key."""
        return bool(self._key) and self._bucket.is_file(self._key)

    def is_dir(self) -> bool:
        """Whether there are objects below this key."""
        return self._bucket.has_folder(self._key)

    def is_symlink(self) -> bool:
        """Objects are no links."""
        return False

    def folders(self) -> Names:
        """The sorted names of the folders in it."""
        return self._bucket.children(self._key)[0]

    def files_below(self) -> Names:
        """The sorted names of all files at any depth, relative to it."""
        above = f"{self._key}/" if self._key else ""
        return [name.removeprefix(above) for name in self._bucket.storage.list(above)]

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """The files directly in it whose names fit a pattern."""
        return (self / name for name in self._bucket.children(self._key)[1] if fnmatchcase(name, pattern))

    def read(self, most_bytes: int) -> bytes:
        """All bytes; raises `MissingFileError`, `LargeFileError` above `most_bytes`, or `StoreError`."""
        return self._bucket.storage.read(self._key, most_bytes)

    @contextmanager
    def open(self, mode: str = "r", encoding: str | None = None, newline: str | None = None) -> Iterator[IO[Any]]:
        """Opens a local copy for reading; raises `StoreError`."""
        with self._bucket.copy(self._key).open(mode, encoding=encoding, newline=newline) as file:
            yield file


CorpusPath: TypeAlias = Path | ObjectPath


def corpus_path(address: str | Path) -> CorpusPath:
    """The place of a corpus. Nothing is read yet.

    Args:
        address: A path, `s3://bucket/prefix` or `gs://bucket/prefix`.

    Raises:
        StoreError: The address has another scheme.
    """
    if not is_remote(address):
        return Path(address)
    scheme, _, rest = str(address).partition("://")
    bucket, _, key = rest.partition("/")
    return ObjectPath(_Bucket(open_storage(f"{scheme}://{bucket}", whole_bucket=True)), key.strip("/"))
