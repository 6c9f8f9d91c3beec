"""The lock object of a store on an S3-compatible server, by conditional PUT; AWS, MinIO, Ceph, R2 and others have it."""

import contextlib
import email.utils
import secrets
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pipeline.storage.lease import LockObject, Stored, UnsupportedError
from pipeline.storage.s3_client import error_code

if TYPE_CHECKING:
    from pipeline.storage.s3 import S3Storage

_TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_ABSENT = frozenset({"NoSuchKey", "404"})
_UNSUPPORTED = frozenset({"NotImplemented", "501"})
_READS = 5


class S3LockObject(LockObject):
    """An object whose version is its ETag.

    Args:
        storage: Of the store that it guards.
        key: Of the object.
    """

    def __init__(self, storage: "S3Storage", key: str) -> None:
        self._storage = storage
        self._target = {"Bucket": storage.bucket, "Key": key}

    @override
    def put(self, body: bytes, version: str | None) -> str | None:
        from botocore.exceptions import ClientError

        condition = {"IfMatch": version} if version else {"IfNoneMatch": "*"}
        with self._storage.explained("lock"):
            try:
                return str(self._storage.client.put_object(**self._target, Body=body, **condition)["ETag"])
            except ClientError as error:
                code = error_code(error)
                if code in _UNSUPPORTED and self._takes_objects():
                    raise UnsupportedError from None
                if code in _TAKEN or code in _ABSENT:
                    return None
                raise

    @override
    def read(self) -> Stored | None:
        from botocore.exceptions import ClientError

        with self._storage.explained("lock"):
            try:
                answer, body = self._read()
            except ClientError as error:
                if error_code(error) in _ABSENT:
                    return None
                raise
        now = email.utils.parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return Stored(answer["ETag"], (now - answer["LastModified"]).total_seconds(), body)

    @override
    def delete(self) -> None:
        with self._storage.explained("lock"):
            self._storage.client.delete_object(**self._target)

    def _takes_objects(self) -> bool:
        """Whether the server takes an object without a condition: only then is it the condition that it refuses."""
        from botocore.exceptions import ClientError

        target = self._target | {"Key": f"{self._target['Key']}.{secrets.token_hex(16)}"}
        try:
            self._storage.client.put_object(**target, Body=b"")
        except ClientError:
            return False
        self._storage.client.delete_object(**target)
        return True

    def _read(self) -> tuple[Any, bytes]:
        """The server's answer and the bytes of the object."""
        from botocore.exceptions import FlexibleChecksumError

        for _ in range(_READS - 1):
            # A server that stores bytes and checksum separately can answer with an old and a new one during a renewal.
            with contextlib.suppress(FlexibleChecksumError):
                answer = self._storage.client.get_object(**self._target)
                return answer, answer["Body"].read()
        answer = self._storage.client.get_object(**self._target)
        return answer, answer["Body"].read()
