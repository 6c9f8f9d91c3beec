"""Objects below a prefix of a bucket, on any S3-compatible server.

Address and credentials come from the variables and files that every AWS client reads.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, cast

from typing_extensions import override

from pipeline.errors import StoreError
from pipeline.storage.base import LargeFileError, MissingFileError, Names
from pipeline.storage.lease import LockObject
from pipeline.storage.objects import ObjectStorage, Upload
from pipeline.storage.s3_client import CREDENTIALS, connect, error_code, hint
from pipeline.storage.s3_lock import S3LockObject

# An answer may break off; each is asked for again this often at most.
_ANSWERS = 4
_ABSENT = ("NoSuchKey", "404")


class S3Storage(ObjectStorage):
    """A prefix of a bucket of an S3-compatible server.

    Attributes:
        endpoint_url: Address of the server; None for Amazon's own.
        region: Region of the server; None for that of the AWS profile.
    """

    scheme = "s3"

    def __init__(self, url: str, endpoint_url: str | None = None, region: str | None = None) -> None:
        super().__init__(url)
        environment = os.environ
        self.endpoint_url = (
            endpoint_url or environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        )
        self.region = region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return S3Storage, (self.url, self.endpoint_url, self.region)

    @override
    def read(self, name: str, most_bytes: int | None = None) -> bytes:
        with self.explained("read", name):
            return self._get(name, most_bytes)

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
    def explained(self, verb: str, name: str = "") -> Iterator[None]:
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

    @override
    def _connect(self) -> Any:
        return connect(self.url, self.endpoint_url, self.region)

    @override
    def _range(self, name: str, first: int, last: int) -> bytes | None:
        from botocore.exceptions import ClientError

        try:
            return self._get(name, Range=f"bytes={first}-{last}")
        except ClientError as error:
            if error_code(error) in ("InvalidRange", "416"):
                return None
            raise

    @override
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
            # Not `with response["Body"]`, which gives the stream below it, with errors of its own.
            with contextlib.closing(response["Body"]) as body:
                if most_bytes is not None and (size := int(response["ContentLength"])) > most_bytes:
                    raise LargeFileError(self.url_of(name), size, most_bytes)
                try:
                    return cast(bytes, body.read())
                except BotoCoreError:
                    if not left:
                        raise
        raise AssertionError  # every turn of the loop returns or raises

    @override
    def _listed(self, start: str, *, whole: bool = True, most: int | None = None) -> tuple[Names, Names]:
        request = {"Bucket": self.bucket, "Prefix": start} | ({} if whole else {"Delimiter": "/"})
        folders: Names = []
        keys: Names = []
        with self.explained("list"):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                **request, PaginationConfig={"MaxItems": most, "PageSize": most}
            )
            for page in pages:
                folders += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
                keys += [entry["Key"] for entry in page.get("Contents", [])]
        return folders, keys

    @override
    def _upload(self, name: str) -> Upload:
        return _S3Upload(self, name)

    @override
    def _lock_object(self, key: str) -> LockObject:
        return S3LockObject(self, key)

    def _unfinished(self) -> Sequence[tuple[str, str]]:
        """Name and upload id of every multipart upload below the prefix that was neither completed nor aborted."""
        pages = self.client.get_paginator("list_multipart_uploads")
        with self.explained("list"):
            return [
                (upload["Key"].removeprefix(self._start), upload["UploadId"])
                for page in pages.paginate(Bucket=self.bucket, Prefix=self._start)
                for upload in page.get("Uploads", [])
            ]


class _S3Upload(Upload):
    def __init__(self, storage: S3Storage, name: str) -> None:
        super().__init__(storage, name)
        self._target = {"Bucket": storage.bucket, "Key": storage.key(name)}
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []

    @override
    def _send_part(self, data: bytes) -> None:
        client = self._storage.client
        if self._upload_id is None:
            self._upload_id = client.create_multipart_upload(**self._target)["UploadId"]
        number = len(self._parts) + 1
        part = client.upload_part(**self._target, UploadId=self._upload_id, PartNumber=number, Body=data)
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})

    @override
    def _complete(self, rest: bytes) -> None:
        if self._upload_id is None:
            self._storage.client.put_object(**self._target, Body=rest)
            return
        if rest:
            self._send_part(rest)
        self._storage.client.complete_multipart_upload(
            **self._target, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
        )

    @override
    def _drop_parts(self) -> None:
        # If the server does not answer, `remove_leftovers` of the next run does it.
        if self._upload_id is not None:
            self._storage.client.abort_multipart_upload(**self._target, UploadId=self._upload_id)
