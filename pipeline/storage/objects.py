"""Objects below a prefix of a bucket: what S3 and Google Cloud Storage have in common.

An object is written directly to its final key, in one request or in parts that the server joins only when the writer ended
without an error. Beam's own writers are not used, since they upload a truncated object when they are abandoned.
"""

import abc
import contextlib
import io
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar, Final, cast

from typing_extensions import Buffer, override

from pipeline.errors import StoreError
from pipeline.storage.base import MissingFileError, Names, Storage, checked, too_short
from pipeline.storage.lease import LockObject, lease

PART_BYTES: Final = 8 << 20
"""Bytes of a part. S3 joins 10,000 parts at most, so a file may be 78 GiB long."""
NO_OBJECT: Final = "there is no such object"
CONNECTIONS: Final = 32
"""Connections that a client keeps open: as many threads read at once."""


class ObjectStorage(Storage):
    """A prefix of a bucket.

    A pickled copy keeps the address of the server for the workers, but never the credentials.

    Args:
        url: The address.

    Attributes:
        scheme: Of its addresses.
        bucket: The bucket's name.
        prefix: Prefix of all keys, without slashes at its ends; empty for the whole bucket.
    """

    remote = True
    scheme: ClassVar[str]

    def __init__(self, url: str) -> None:
        bucket, _, prefix = url.removeprefix(f"{self.scheme}://").partition("/")
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        if not self.bucket:
            raise StoreError(f"{url}: name a bucket, as in {self.scheme}://bucket/features")
        super().__init__(f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/"))
        self._start = f"{self.prefix}/" if self.prefix else ""
        self._connection: Any = None
        self._guard = threading.Lock()

    @property
    def client(self) -> Any:
        """The client of the server, made on first use.

        Raises:
            StoreError: Its library is not installed, or its configuration is broken.
        """
        with self._guard:
            if self._connection is None:
                self._connection = self._connect()
        return self._connection

    def key(self, name: str) -> str:
        """The key of a file's object."""
        return self._start + checked(name)

    @override
    def read_range(self, name: str, offset: int, length: int) -> bytes:
        if length == 0:
            return b""
        with self.explained("read", name):
            data = self._range(name, offset, offset + length - 1)
        if data is None:
            raise too_short(self.url_of(name), offset, length, self.size(name))
        if len(data) < length:
            raise too_short(self.url_of(name), offset, length, offset + len(data))
        return data

    @override
    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        upload = self._upload(name)
        try:
            yield cast(BinaryIO, upload)
            upload.commit()
        except BaseException:
            upload.abort()
            raise

    @override
    def exists(self, name: str) -> bool:
        return self._size(name) is not None

    @override
    def size(self, name: str) -> int:
        size = self._size(name)
        if size is None:
            raise MissingFileError(f"cannot read {self.url_of(name)}: {NO_OBJECT}")
        return size

    @override
    def list(self, prefix: str = "") -> Names:
        _, keys = self._listed(self._start + prefix)
        return sorted(key.removeprefix(self._start) for key in keys if not key.endswith("/"))

    @override
    def children(self, folder: str = "") -> tuple[Names, Names]:
        start = self._start + (f"{folder}/" if folder else "")
        folders, keys = self._listed(start, whole=False)
        files = [key.removeprefix(start) for key in keys if not key.endswith("/")]
        return sorted(name.removeprefix(start).rstrip("/") for name in folders), sorted(files)

    @override
    def has_folder(self, folder: str = "") -> bool:
        _, keys = self._listed(self._start + (f"{folder}/" if folder else ""), most=1)
        return bool(keys)

    @override
    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        if not self.prefix:
            raise StoreError(f"{self.url}: name a bucket and a prefix in it, as in {self.scheme}://bucket/features")
        # Beside the prefix, as the lock of a local store is beside its folder.
        parent, slash, last = self.prefix.rpartition("/")
        with lease(self._lock_object(f"{parent}{slash}.{last}.lock"), self.url):
            yield

    @abc.abstractmethod
    def explained(self, verb: str, name: str = "") -> contextlib.AbstractContextManager[None]:
        """Turns an error of the server or of the connection into a `StoreError` that says what to do."""

    @abc.abstractmethod
    def _connect(self) -> Any:
        """Makes the client; raises as `client`."""

    @abc.abstractmethod
    def _range(self, name: str, first: int, last: int) -> bytes | None:
        """The bytes of an object from `first` to `last`, or to its end; None if it ends before `first`."""

    @abc.abstractmethod
    def _size(self, name: str) -> int | None:
        """The length of an object in bytes; None if there is none."""

    @abc.abstractmethod
    def _listed(self, start: str, *, whole: bool = True, most: int | None = None) -> tuple[Names, Names]:
        """Folders and keys of the objects whose keys begin with `start`.

        Args:
            start: Begin of the keys, or the key of a folder and a slash.
            whole: Whether keys at any depth are listed, and no folders; else those directly in the folder.
            most: Keys that are enough; None for all.
        """

    @abc.abstractmethod
    def _upload(self, name: str) -> "Upload":
        """A new object under construction."""

    @abc.abstractmethod
    def _lock_object(self, key: str) -> LockObject:
        """The object of the lock."""


class Upload(abc.ABC, io.BufferedIOBase):
    """An object under construction: in memory up to the size of one part, then in parts on the server.

    Args:
        storage: Where it is made.
        name: Of its file.
    """

    def __init__(self, storage: ObjectStorage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._buffer = bytearray()

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Buffer, /) -> int:
        view = memoryview(data).cast("B")
        self._buffer += view
        while len(self._buffer) >= PART_BYTES:
            with self._storage.explained("write", self._name):
                self._send_part(bytes(self._buffer[:PART_BYTES]))
            del self._buffer[:PART_BYTES]
        return len(view)

    def commit(self) -> None:
        """Makes the object appear; raises `StoreError`."""
        with self._storage.explained("write", self._name):
            self._complete(bytes(self._buffer))

    def abort(self) -> None:
        """Aborts the upload, as far as the server answers."""
        with contextlib.suppress(StoreError), self._storage.explained("remove", self._name):
            self._drop_parts()

    @abc.abstractmethod
    def _send_part(self, data: bytes) -> None:
        """Sends a part to the server."""

    @abc.abstractmethod
    def _complete(self, rest: bytes) -> None:
        """Sends what follows the parts, or all if there are none, and makes the object appear."""

    @abc.abstractmethod
    def _drop_parts(self) -> None:
        """Has the server forget the parts, if there are any."""
