"""Objects below a prefix of a bucket of Google Cloud Storage.

Credentials are the application default ones of every Google client. `STORAGE_EMULATOR_HOST` leads to a server of one's own.
"""

import contextlib
import io
import os
import secrets
from collections.abc import Iterator
from typing import Any, Final, cast

from typing_extensions import Buffer, override

from pipeline.errors import StoreError
from pipeline.storage.base import LargeFileError, MissingFileError, Names
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
    def _range(self, name: str, first: int, last: int) -> bytes | None:
        from google.api_core.exceptions import RequestRangeNotSatisfiable

        try:
            return cast(bytes, self.blob(self.key(name)).download_as_bytes(start=first, end=last, retry=retry()))
        except RequestRangeNotSatisfiable:
            return None

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
        super().__init__(storage, name)
        self._blob = storage.blob(storage.key(name))
        self._writer: Any = None

    @override
    def _send_part(self, data: bytes) -> None:
        if self._writer is None:
            self._writer = self._blob.open(
                "wb", chunk_size=PART_BYTES, content_type=_CONTENT_TYPE, retry=retry(), ignore_flush=True
            )
        self._writer.write(data)

    @override
    def _complete(self, rest: bytes) -> None:
        if self._writer is None:
            self._blob.upload_from_string(rest, _CONTENT_TYPE, retry=retry())
        else:
            self._writer.write(rest)
            self._writer.close()

    @override
    def _drop_parts(self) -> None:
        # What the server does not hear of it drops after a week.
        if self._writer is not None:
            self._writer.terminate()


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
