"""Objects below a prefix of a bucket of Google Cloud Storage.

Credentials are the application default ones of every Google client. `STORAGE_EMULATOR_HOST` leads to a server of one's own.
"""

import contextlib
import io
import os
import secrets
from collections.abc import Iterator
from typing import Any, Final

from typing_extensions import Buffer, override

from pipeline.errors import StoreError
from pipeline.storage.base import LargeFileError, MissingFileError, Names, too_short
from pipeline.storage.gcs_client import connect, hint, is_about_bucket, retry
from pipeline.storage.lease import LockObject, Stored
from pipeline.storage.objects import NO_OBJECT, PART_BYTES, ObjectStorage, Upload

_CONTENT_TYPE: Final = "application/octet-stream"


class GcsStorage(ObjectStorage):
    """A prefix of a bucket of Google Cloud Storage.

    Attributes:
        endpoint_url: Address of the server that stands in for Google's; None for Google's.
    """

    scheme = "gs"

    def __init__(self, url: str, endpoint_url: str | None = None) -> None:
        super().__init__(url)
        self.endpoint_url = endpoint_url or os.environ.get("STORAGE_EMULATOR_HOST") or None

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return GcsStorage, (self.url, self.endpoint_url)

    @override
    def read(self, name: str, most_bytes: int | None = None) -> bytes:
        target = _Limited(most_bytes)
        try:
            with self.explained("read", name):
                self.blob(self.key(name)).download_to_file(target, retry=retry())
        except _TooLargeError:
            raise LargeFileError(self.url_of(name), self.size(name), most_bytes or 0) from None
        return target.getvalue()

    @override
    def read_range(self, name: str, offset: int, length: int) -> bytes:
        if length == 0:
            return b""
        with self.explained("read", name):
            from google.api_core.exceptions import RequestRangeNotSatisfiable

            try:
                data: bytes = self.blob(self.key(name)).download_as_bytes(
                    start=offset, end=offset + length - 1, retry=retry()
                )
            except RequestRangeNotSatisfiable:
                raise too_short(self.url_of(name), offset, length, self.size(name)) from None
        if len(data) < length:
            raise too_short(self.url_of(name), offset, length, offset + len(data))
        return data

    @override
    def delete(self, name: str) -> None:
        with contextlib.suppress(MissingFileError), self.explained("remove", name):
            self.blob(self.key(name)).delete(retry=retry())

    @override
    def leftovers(self) -> Names:
        return []  # the server shows no unfinished upload, and drops it after a week

    @override
    def remove_leftovers(self) -> Names:
        return []

    @override
    @contextlib.contextmanager
    def explained(self, verb: str, name: str = "") -> Iterator[None]:
        _ = self.client  # its errors are explained already
        from google.api_core.exceptions import GoogleAPIError, NotFound
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
        from requests.exceptions import RequestException

        try:
            yield
        except (GoogleAPIError, GoogleAuthError, InvalidResponse, DataCorruption, RequestException) as error:
            address = self.url_of(name) if name else self.url
            # What is written or listed can only lack its bucket.
            if isinstance(error, NotFound) and verb in ("read", "remove") and not is_about_bucket(error):
                raise MissingFileError(f"cannot {verb} {address}: {NO_OBJECT}") from error
            raise StoreError(f"cannot {verb} {address}: {hint(error, self.endpoint_url)}") from error

    def blob(self, key: str) -> Any:
        """A new handle of an object; nothing is asked."""
        return self.client.bucket(self.bucket).blob(key)

    @override
    def _connect(self) -> Any:
        return connect(self.url, self.endpoint_url)

    @override
    def _size(self, name: str) -> int | None:
        blob = self.blob(self.key(name))
        try:
            with self.explained("read", name):
                blob.reload(retry=retry())
        except MissingFileError:
            return None
        return int(blob.size)

    @override
    def _listed(self, start: str, *, whole: bool = True, most: int | None = None) -> tuple[Names, Names]:
        with self.explained("list"):
            found = self.client.list_blobs(
                self.bucket, prefix=start, delimiter=None if whole else "/", max_results=most, retry=retry()
            )
            keys = [blob.name for blob in found]
            return list(found.prefixes), keys

    @override
    def _upload(self, name: str) -> Upload:
        return _GcsUpload(self, name)

    @override
    def _lock_object(self, key: str) -> LockObject:
        return _GcsLockObject(self, key)


class _TooLargeError(Exception):
    """More bytes came than are taken."""


class _Limited(io.BytesIO):
    """Takes some bytes at most."""

    def __init__(self, most_bytes: int | None) -> None:
        super().__init__()
        self._most_bytes = most_bytes

    @override
    def write(self, data: Buffer, /) -> int:
        if self._most_bytes is not None and self.tell() + memoryview(data).nbytes > self._most_bytes:
            raise _TooLargeError
        return super().write(data)


class _GcsUpload(Upload):
    def __init__(self, storage: GcsStorage, name: str) -> None:
        super().__init__()
        self._storage = storage
        self._name = name
        self._blob = storage.blob(storage.key(name))
        self._writer: Any = None

    @override
    def commit(self) -> None:
        with self._storage.explained("write", self._name):
            if self._writer is None:
                self._blob.upload_from_string(bytes(self._buffer), _CONTENT_TYPE, retry=retry())
            else:
                self._writer.write(bytes(self._buffer))
                self._writer.close()

    @override
    def abort(self) -> None:
        # What the server does not hear of it drops after a week.
        if self._writer is not None:
            with contextlib.suppress(StoreError), self._storage.explained("remove", self._name):
                self._writer.terminate()

    @override
    def _send_part(self, data: bytes) -> None:
        with self._storage.explained("write", self._name):
            if self._writer is None:
                self._writer = self._blob.open(
                    "wb", chunk_size=PART_BYTES, content_type=_CONTENT_TYPE, retry=retry(), ignore_flush=True
                )
            self._writer.write(data)


class _GcsLockObject(LockObject):
    """An object whose version is its generation."""

    def __init__(self, storage: GcsStorage, key: str) -> None:
        self._storage = storage
        self._key = key

    @override
    def put(self, body: bytes, version: str | None) -> str | None:
        with self._storage.explained("lock"):
            from google.api_core.exceptions import PreconditionFailed

            blob = self._storage.blob(self._key)
            try:
                blob.upload_from_string(
                    body, _CONTENT_TYPE, if_generation_match=int(version) if version else 0, retry=retry()
                )
            except PreconditionFailed:
                return None
        return str(blob.generation)

    @override
    def read(self) -> Stored | None:
        with self._storage.explained("lock"):
            from google.api_core.exceptions import NotFound

            try:
                blob = self._storage.blob(self._key)
                blob.reload(retry=retry())
                body = self._storage.blob(self._key).download_as_bytes(
                    if_generation_match=blob.generation, retry=retry()
                )
            except NotFound:
                return None
            # What time it is there tells another object that is written now.
            clock = self._storage.blob(f"{self._key}.{secrets.token_hex(16)}")
            clock.upload_from_string(b"", _CONTENT_TYPE, retry=retry())
            clock.delete(retry=retry())
        return Stored(str(blob.generation), (clock.updated - blob.updated).total_seconds(), body)

    @override
    def delete(self) -> None:
        with self._storage.explained("lock"):
            self._storage.blob(self._key).delete(retry=retry())
