"""Objects below a prefix of a bucket, on any S3-compatible server.

An object is written directly to its final key, by a single PUT or by a multipart upload that is completed only when its
writer ended without an error. Beam's own S3 writer is not used, since it uploads a truncated object when it is abandoned.
Address and credentials come from the variables and files that every AWS client reads.
"""

import contextlib
import io
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, cast

from typing_extensions import Buffer, override

from pipeline.errors import StoreError
from pipeline.storage.base import LargeFileError, MissingFileError, Names, Storage, checked, too_short
from pipeline.storage.lease import lease
from pipeline.storage.s3_client import CREDENTIALS, NO_OBJECT, connect, error_code, hint

# A multipart upload has 10,000 parts at most, so a file may be 78 GiB long.
_PART_BYTES = 8 << 20
# An answer may break off; each is asked for again this often at most.
_ANSWERS = 4
_ABSENT = ("NoSuchKey", "404")


class S3Storage(Storage):
    """A prefix of a bucket.

    A pickled copy keeps the endpoint and the region for the workers, but never the credentials.

    Attributes:
        bucket: The bucket's name.
        prefix: Prefix of all keys, without slashes at its ends; empty for the whole bucket.
        endpoint_url: Address of the server; None for Amazon's own.
        region: Region of the server; None for that of the AWS profile.
    """

    remote = True

    def __init__(self, url: str, endpoint_url: str | None = None, region: str | None = None) -> None:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        if not self.bucket:
            raise StoreError(f"{url}: name a bucket, as in s3://bucket/features")
        super().__init__(f"s3://{self.bucket}/{self.prefix}".rstrip("/"))
        self._start = f"{self.prefix}/" if self.prefix else ""
        environment = os.environ
        self.endpoint_url = (
            endpoint_url or environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        )
        self.region = region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
        self._connection: Any = None
        self._guard = threading.Lock()

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return S3Storage, (self.url, self.endpoint_url, self.region)

    @override
    def read(self, name: str, most_bytes: int | None = None) -> bytes:
        with self.explained("read", name):
            return self._get(name, most_bytes)

    @override
    def read_range(self, name: str, offset: int, length: int) -> bytes:
        if length == 0:
            return b""
        from botocore.exceptions import ClientError

        with self.explained("read", name):
            try:
                data = self._get(name, Range=f"bytes={offset}-{offset + length - 1}")
            except ClientError as error:
                if error_code(error) in ("InvalidRange", "416"):
                    raise too_short(self.url_of(name), offset, length, self.size(name)) from None
                raise
        if len(data) < length:
            raise too_short(self.url_of(name), offset, length, offset + len(data))
        return data

    @override
    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        upload = _Upload(self, name)
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
        with self.explained("list"):
            keys = [entry["Key"] for page in self._pages(prefix) for entry in page.get("Contents", [])]
        return sorted(key.removeprefix(self._start) for key in keys if not key.endswith("/"))

    @override
    def children(self, folder: str = "") -> tuple[Names, Names]:
        above = f"{folder}/" if folder else ""
        folders: Names = []
        files: Names = []
        with self.explained("list"):
            for page in self._pages(above, Delimiter="/"):
                folders += [entry["Prefix"].rstrip("/") for entry in page.get("CommonPrefixes", [])]
                files += [entry["Key"] for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]
        start = self._start + above
        return sorted(name.removeprefix(start) for name in folders), sorted(name.removeprefix(start) for name in files)

    @override
    def has_folder(self, folder: str = "") -> bool:
        prefix = self._start + (f"{folder}/" if folder else "")
        with self.explained("list"):
            return bool(self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=1).get("Contents"))

    @override
    def delete(self, name: str) -> None:
        with self.explained("remove", name):
            self.client.delete_object(Bucket=self.bucket, Key=self.key(name))

    @override
    def leftovers(self) -> Names:
        return sorted({name for name, _ in self._unfinished()})

    @override
    def remove_leftovers(self) -> Names:
        unfinished = self._unfinished()
        with self.explained("remove"):
            for name, upload in unfinished:
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=self.key(name), UploadId=upload)
        return sorted({name for name, _ in unfinished})

    @override
    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        if not self.prefix:
            raise StoreError(f"{self.url}: name a bucket and a prefix in it, as in s3://bucket/features")
        # Beside the prefix, as the lock of a local store is beside its folder.
        parent, slash, last = self.prefix.rpartition("/")
        with contextlib.ExitStack() as stack:
            with self.explained("lock"):
                stack.enter_context(lease(self.client, self.bucket, f"{parent}{slash}.{last}.lock", self.url))
            yield

    @property
    def client(self) -> Any:
        """The boto3 client, made on first use.

        Raises:
            StoreError: boto3 is not installed, or the AWS configuration is broken.
        """
        with self._guard:
            if self._connection is None:
                self._connection = connect(self.url, self.endpoint_url, self.region)
        return self._connection

    def key(self, name: str) -> str:
        """The key of a file's object."""
        return self._start + checked(name)

    @contextlib.contextmanager
    def explained(self, verb: str, name: str = "") -> Iterator[None]:
        """Turns an error of the server or of the connection into a `StoreError` that says what to do."""
        from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, NoCredentialsError

        address = self.url_of(name) if name else self.url
        try:
            yield
        except ClientError as error:
            kind = MissingFileError if name and error_code(error) in _ABSENT else StoreError
            raise kind(f"cannot {verb} {address}: {hint(error)}") from error
        except NoCredentialsError as error:
            raise StoreError(f"cannot {verb} {address}: there are no credentials; {CREDENTIALS}") from error
        except (ConnectionError, HTTPClientError) as error:
            raise StoreError(
                f"cannot {verb} {address}: no answer from {self.client.meta.endpoint_url}; check AWS_ENDPOINT_URL "
                f"and the network"
            ) from error
        except BotoCoreError as error:
            raise StoreError(f"cannot {verb} {address}: {error}") from error

    def _size(self, name: str) -> int | None:
        from botocore.exceptions import ClientError

        with self.explained("read", name):
            try:
                return int(self.client.head_object(Bucket=self.bucket, Key=self.key(name))["ContentLength"])
            except ClientError as error:
                if error_code(error) in _ABSENT:
                    return None
                raise

    def _get(self, name: str, most_bytes: int | None = None, **request: str) -> bytes:
        """The bytes of an object, or of the range that is requested. The client repeats requests, not broken answers."""
        from botocore.exceptions import BotoCoreError

        for left in reversed(range(_ANSWERS)):
            response = self.client.get_object(Bucket=self.bucket, Key=self.key(name), **request)
            with response["Body"] as body:
                if most_bytes is not None and (size := int(response["ContentLength"])) > most_bytes:
                    raise LargeFileError(self.url_of(name), size, most_bytes)
                try:
                    return cast(bytes, body.read())
                except BotoCoreError:
                    if not left:
                        raise
        raise AssertionError  # every turn of the loop returns or raises

    def _pages(self, prefix: str, **request: str) -> Any:
        """The pages of a list of the objects below the root whose names begin with `prefix`."""
        pages = self.client.get_paginator("list_objects_v2")
        return pages.paginate(Bucket=self.bucket, Prefix=self._start + prefix, **request)

    def _unfinished(self) -> Sequence[tuple[str, str]]:
        """Name and upload id of every multipart upload below the prefix that was neither completed nor aborted."""
        pages = self.client.get_paginator("list_multipart_uploads")
        with self.explained("list"):
            return [
                (upload["Key"].removeprefix(self._start), upload["UploadId"])
                for page in pages.paginate(Bucket=self.bucket, Prefix=self._start)
                for upload in page.get("Uploads", [])
            ]


class _Upload(io.BufferedIOBase):
    """An object under construction: in memory up to the size of one part, then in parts on the server."""

    def __init__(self, storage: S3Storage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._target = {"Bucket": storage.bucket, "Key": storage.key(name)}
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Buffer, /) -> int:
        view = memoryview(data).cast("B")
        self._buffer += view
        while len(self._buffer) >= _PART_BYTES:
            self._send_part(bytes(self._buffer[:_PART_BYTES]))
            del self._buffer[:_PART_BYTES]
        return len(view)

    def commit(self) -> None:
        """Makes the object appear."""
        if self._upload_id is None:
            with self._storage.explained("write", self._name):
                self._storage.client.put_object(**self._target, Body=bytes(self._buffer))
            return
        if self._buffer:
            self._send_part(bytes(self._buffer))
        with self._storage.explained("write", self._name):
            self._storage.client.complete_multipart_upload(
                **self._target, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
            )

    def abort(self) -> None:
        """Aborts the upload. If the server does not answer, `remove_leftovers` of the next run does it."""
        if self._upload_id is not None:
            with contextlib.suppress(StoreError), self._storage.explained("remove", self._name):
                self._storage.client.abort_multipart_upload(**self._target, UploadId=self._upload_id)

    def _send_part(self, data: bytes) -> None:
        client = self._storage.client
        with self._storage.explained("write", self._name):
            if self._upload_id is None:
                self._upload_id = client.create_multipart_upload(**self._target)["UploadId"]
            number = len(self._parts) + 1
            part = client.upload_part(**self._target, UploadId=self._upload_id, PartNumber=number, Body=data)
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})
