"""The client of an S3-compatible server, and its errors in words that say what to do."""

import os
from typing import Any, Final

from pipeline.errors import StoreError
from pipeline.storage.objects import CONNECTIONS, NO_OBJECT

CREDENTIALS: Final = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the AWS profile"

# boto3 reads these variables, too, but its own default sends checksum headers that several servers other than Amazon's refuse.
_CHECKSUMS: Final = {
    "request_checksum_calculation": "AWS_REQUEST_CHECKSUM_CALCULATION",
    "response_checksum_validation": "AWS_RESPONSE_CHECKSUM_VALIDATION",
}
_BROKEN_ANSWERS: Final = 4
"""Times that an answer whose headers broke off is asked for."""
_WITH_ETAG: Final = frozenset({"PutObject", "UploadPart"})
_WHEN_REQUIRED: Final = "when_required"
_HINTS: Final = {
    "NoSuchKey": NO_OBJECT,
    "404": NO_OBJECT,
    "NoSuchBucket": "there is no such bucket; make it, or check AWS_ENDPOINT_URL and AWS_REGION",
    "AccessDenied": f"access denied; {CREDENTIALS}, and its permissions",
    "403": f"access denied; {CREDENTIALS}, and its permissions",
    "InvalidAccessKeyId": f"the server does not know the access key; {CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key is wrong; {CREDENTIALS}",
    "ExpiredToken": f"the session token has expired; {CREDENTIALS}",
}


def connect(url: str, endpoint_url: str | None, region: str | None) -> Any:
    """Makes a boto3 client.

    Where the server is not Amazon's, it sends no checksums that the server does not ask for, unless the AWS variables say so.

    Args:
        url: The store, for messages.
        endpoint_url: Address of the server; None for that of the AWS profile, or Amazon's.
        region: Region of the server; None for that of the AWS profile.

    Raises:
        StoreError: boto3 is not installed, or the AWS configuration is broken.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise StoreError(f"{url}: object storage needs boto3; run pip install 'bonafide[s3]'") from None
    options: dict[str, Any] = {"connect_timeout": 10, "max_pool_connections": CONNECTIONS}
    # Few servers other than Amazon's have a host name per bucket.
    elsewhere = {
        "s3": {"addressing_style": "path"},
        **{option: _WHEN_REQUIRED for option, variable in _CHECKSUMS.items() if variable not in os.environ},
    }
    try:
        session = boto3.session.Session()

        def client(config: dict[str, Any]) -> Any:
            return session.client("s3", endpoint_url=endpoint_url, region_name=region, config=Config(**config))

        found = client(options | elsewhere if endpoint_url else options)
        # The AWS profile can name a server, too.
        if not endpoint_url and "amazonaws.com" not in found.meta.endpoint_url:
            found = client(options | elsewhere)
        found.meta.events.register("needs-retry.s3", _seconds_until_repeated)
        return found
    except (BotoCoreError, ValueError) as error:
        raise StoreError(f"{url}: {error}; check the AWS_ variables and the AWS profile") from error


def _seconds_until_repeated(
    response: tuple[Any, Any] | None, attempts: int, operation: Any = None, **_: object
) -> float | None:
    """Whether the headers of an answer broke off: Python takes what came for all of them. None: it is not repeated.

    A server that never states a length is believed in the end.
    """
    if response is None or response[0].status_code not in (200, 206) or attempts >= _BROKEN_ANSWERS:
        return None
    headers = response[0].headers
    has_length = "content-length" in headers or "transfer-encoding" in headers
    needs_etag = operation is not None and operation.name in _WITH_ETAG
    return None if has_length and ("etag" in headers or not needs_etag) else 0.2 * attempts


def error_code(error: Any) -> str:
    """The server's error code, such as NoSuchKey; the HTTP status where it gives none."""
    response = error.response
    return str(response.get("Error", {}).get("Code") or response.get("ResponseMetadata", {}).get("HTTPStatusCode"))


def hint(error: Any) -> str:
    """What a botocore `ClientError` means and what to do; the server's own words where it is none of the common ones."""
    code = error_code(error)
    if code in _HINTS:
        return _HINTS[code]
    words = f"{code}: {error.response.get('Error', {}).get('Message', 'no message')}"
    # What a server says that does not know the headers of checksums.
    if code in ("NotImplemented", "501") or "checksum" in words.lower():
        variables = " and ".join(f"{variable}={_WHEN_REQUIRED}" for variable in _CHECKSUMS.values())
        return f"{words}; if the server refuses checksum headers, set {variables}"
    return words
