"""The client of Google Cloud Storage, and its errors in words that say what to do."""

import contextlib
import logging
import os
import warnings
from typing import Any, Final

from pipeline.errors import StoreError
from pipeline.storage.objects import CONNECTIONS

CREDENTIALS: Final = "run `gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS"

RETRY_SECONDS: Final = 60.0
"""Seconds after which a request that fails is not repeated any more."""


def connect(url: str, endpoint_url: str | None) -> Any:
    """Makes a client of google-cloud-storage.

    Args:
        url: The store, for messages.
        endpoint_url: Address of a server that stands in for Google's and asks for no credentials; None for Google's.

    Raises:
        StoreError: The library is not installed, or there are no credentials.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of the support of this version of Python
            from google.auth.credentials import AnonymousCredentials
            from google.auth.exceptions import GoogleAuthError
            from google.cloud import storage

            from pipeline.storage.http import WholeAnswers
    except ImportError:
        raise StoreError(f"{url}: Google Cloud Storage needs its client; run pip install 'bonafide[gs]'") from None
    # Objects belong to a bucket; the project, which the client insists on, is needed to make one.
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", "none")
    try:
        if endpoint_url:
            options = {"api_endpoint": endpoint_url}
            client = storage.Client(project, AnonymousCredentials(), client_options=options)
        else:
            client = storage.Client(project)
    except (GoogleAuthError, ValueError) as error:
        raise StoreError(f"{url}: there are no credentials ({_first_line(error)}); {CREDENTIALS}") from error
    for scheme in ("http://", "https://"):
        client._http.mount(scheme, WholeAnswers(pool_connections=2, pool_maxsize=CONNECTIONS))
    # It writes a line of its own about each repeated request.
    logging.getLogger("google.cloud.storage").setLevel(logging.ERROR)
    return client


def retry() -> Any:
    """How failed requests are repeated: all that this package sends can be sent twice."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(RETRY_SECONDS).with_delay(initial=0.2, maximum=10.0, multiplier=2.0)


def hint(error: Exception, endpoint_url: str | None) -> str:
    """What an error of the client means and what to do; its own words where it is none of the common ones."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError, TransportError

    cause = error
    with contextlib.suppress(AttributeError):
        cause = error.cause or error  # type: ignore[attr-defined]
    if isinstance(cause, exceptions.NotFound):
        return "there is no such bucket; make it, or check the address"
    if isinstance(cause, exceptions.Unauthorized | exceptions.Forbidden):
        return f"access denied; check the permissions of the account, or {CREDENTIALS}"
    if isinstance(cause, GoogleAuthError) and not isinstance(cause, TransportError):
        return f"the credentials are not accepted ({_first_line(cause)}); {CREDENTIALS}"
    if isinstance(cause, exceptions.GoogleAPICallError):
        return _first_line(cause)
    server = endpoint_url or "Google Cloud Storage"
    return f"no answer from {server} ({_first_line(cause)}); check the network, and STORAGE_EMULATOR_HOST if it is set"


def is_about_bucket(error: Exception) -> bool:
    """Whether an error of something that is not found is that of a bucket, not of an object."""
    return "bucket does not exist" in str(error)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
