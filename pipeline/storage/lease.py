"""One writer at a time on an object store: a lock object that only one process can create, renewed by a heartbeat.

A conditional PUT (If-None-Match) creates it and another (If-Match) renews it; AWS, MinIO, Ceph, R2 and others support both.
A lock that was not renewed for `LEASE_SECONDS`, or whose holder is a dead process of this machine, is taken over. On a
server that ignores the condition, or refuses it and takes objects without one, the lock only excludes writers on this machine,
and a warning says so.
"""

import contextlib
import email.utils
import hashlib
import json
import logging
import os
import secrets
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pipeline.errors import StoreError
from pipeline.storage.base import WRITING, held_message, identity
from pipeline.storage.locks import file_lock
from pipeline.storage.s3_client import error_code

LEASE_SECONDS = 60.0
"""Age at which a lock that nobody renewed may be taken over."""

BEAT_SECONDS = 15.0
"""Time between two renewals."""

_TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_UNSUPPORTED = frozenset({"NotImplemented", "501"})
_ATTEMPTS = 5

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def lease(client: Any, bucket: str, key: str, url: str) -> Iterator[None]:
    """Holds the lock object `key` while the block runs.

    Args:
        client: A boto3 S3 client.
        bucket: Bucket of the lock object.
        key: Key of the lock object.
        url: The store that it guards, for messages.

    Raises:
        StoreError: Another process holds it, or took it over while the block ran.
        botocore.exceptions.ClientError: The server refuses a request.
    """
    lock = _LockObject(client, bucket, key, url)
    if not lock.acquire():
        _log.warning("%s: this server has no conditional PUT: only runs on this machine are kept from writing too", url)
        digest = hashlib.sha256(url.encode()).hexdigest()[:16]
        with file_lock(Path(tempfile.gettempdir()) / f"bonafide-{digest}.lock", url):
            yield
        return
    done = threading.Event()
    heartbeat = threading.Thread(target=lock.keep, args=(done,), name="store-lock", daemon=True)
    heartbeat.start()
    try:
        yield
    finally:
        done.set()
        heartbeat.join()
        lock.release()
    if lock.lost:
        raise StoreError(f"{url}: another run took the lock over while this one wrote; run `bonafide store verify`")


@dataclass(frozen=True)
class _LockState:
    """The lock object as the server has it.

    Attributes:
        etag: ETag of this version of the object.
        age_s: Seconds since it was written, by the server's clock.
        content: Its JSON: holder, machine, pid, start time, token.
    """

    etag: str
    age_s: float
    content: dict[str, Any]

    def is_expired(self) -> bool:
        """Whether it may be taken over: it was not renewed for `LEASE_SECONDS`, or its holder has ended."""
        if self.age_s > LEASE_SECONDS:
            return True
        here = _machine()
        return bool(here) and self.content.get("machine") == here and not _is_alive(self.content)


class _LockObject:
    """The lock object of one store, and this process's hold on it.

    Attributes:
        lost: Whether another process has taken the lock over.
    """

    def __init__(self, client: Any, bucket: str, key: str, url: str) -> None:
        self._client = client
        self._target = {"Bucket": bucket, "Key": key}
        self._url = url
        self._token = secrets.token_hex(16)
        self._beat = 0
        self._etag = ""
        self.lost = False

    def acquire(self) -> bool:
        """Takes the lock; False where the server has no conditional PUT.

        Raises:
            StoreError: Another process holds it.
        """
        try:
            for _ in range(_ATTEMPTS):
                if self._put(IfNoneMatch="*"):
                    return self._is_enforced()
                state = self._state()
                if state is None:
                    continue
                if not state.is_expired():
                    holder = state.content.get("holder", "another process")
                    age = f"last renewed {state.age_s:.0f} s ago; the lock is free after {LEASE_SECONDS:.0f} s"
                    raise StoreError(held_message(self._url, f"{holder} ({age}) {WRITING}"))
                if self._put(IfMatch=state.etag):
                    return True
        except _UnsupportedError:
            return False
        raise StoreError(f"{self._url}: several runs try to take the lock of this store; run the command again")

    def keep(self, done: threading.Event) -> None:
        """Renews the lock until `done`, or until it is lost."""
        while not done.wait(BEAT_SECONDS) and not self.lost:
            self._renew()

    def release(self) -> None:
        """Removes the lock object if this process still holds it. Where that fails, it is free after `LEASE_SECONDS`."""
        from botocore.exceptions import BotoCoreError, ClientError

        # Renewed first, so that no other process takes it over between the two requests.
        if not self.lost and self._renew():
            with contextlib.suppress(BotoCoreError, ClientError):
                self._client.delete_object(**self._target)

    def _renew(self) -> bool:
        """Renews the lock; False if that failed. Sets `lost` where another process has taken it."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._put(IfMatch=self._etag):
                return True
            state = self._state()
        except (BotoCoreError, ClientError) as error:
            _log.warning("%s: could not renew the lock: %s", self._url, error)
            return False
        # The client repeats a successful PUT whose answer was lost; the condition then fails although the lock is held.
        if state is None or state.content.get("token") != self._token:
            self.lost = True
            return False
        self._etag = state.etag
        return True

    def _put(self, **condition: str) -> bool:
        """Writes the lock object under a condition; False where the condition did not hold."""
        from botocore.exceptions import ClientError

        self._beat += 1
        content = {
            "holder": identity(),
            "machine": _machine(),
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "token": self._token,
            "beat": self._beat,
        }
        try:
            response = self._client.put_object(**self._target, Body=json.dumps(content).encode(), **condition)
        except ClientError as error:
            code = error_code(error)
            if code in _UNSUPPORTED and self._takes_objects():
                raise _UnsupportedError from None
            if code in _TAKEN or code in ("NoSuchKey", "404"):
                return False
            raise
        self._etag = response["ETag"]
        return True

    def _takes_objects(self) -> bool:
        """Whether the server takes an object without a condition: only then is it the condition that it refuses."""
        from botocore.exceptions import ClientError

        target = self._target | {"Key": f"{self._target['Key']}.{self._token}"}
        try:
            self._client.put_object(**target, Body=b"")
        except ClientError:
            return False
        self._client.delete_object(**target)
        return True

    def _is_enforced(self) -> bool:
        """Whether the server refuses to create an object that exists. Where it does not, the object is removed."""
        if self._put(IfNoneMatch="*"):
            self._client.delete_object(**self._target)
            return False
        return True

    def _state(self) -> _LockState | None:
        """Reads the lock object; None if there is none."""
        from botocore.exceptions import ClientError

        try:
            response, body = self._read()
        except ClientError as error:
            if error_code(error) in ("NoSuchKey", "404"):
                return None
            raise
        now = email.utils.parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
        try:
            content = json.loads(body)
        except ValueError:
            content = {}
        return _LockState(response["ETag"], (now - response["LastModified"]).total_seconds(), content)

    def _read(self) -> tuple[Any, bytes]:
        """The server's answer and the bytes of the lock object."""
        from botocore.exceptions import FlexibleChecksumError

        for _ in range(_ATTEMPTS - 1):
            # A server that stores bytes and checksum separately can answer with an old and a new one during a renewal.
            with contextlib.suppress(FlexibleChecksumError):
                response = self._client.get_object(**self._target)
                return response, response["Body"].read()
        response = self._client.get_object(**self._target)
        return response, response["Body"].read()


class _UnsupportedError(Exception):
    """The server has no conditional PUT."""


def _machine() -> str:
    """Identifies the boot and the process namespace in which a process id is valid; empty where the system has neither."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _is_alive(content: dict[str, Any]) -> bool:
    """Whether the process that wrote this content still runs; True where that cannot be told."""
    try:
        process = psutil.Process(int(content["pid"]))
        same = abs(process.create_time() - float(content["started"])) < 2
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, KeyError, TypeError, ValueError):
        return True
