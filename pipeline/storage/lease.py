"""One writer at a time on an object store: a lock object that only one can make, kept alive by a heartbeat.

It is made by a conditional PUT (If-None-Match) and renewed by another (If-Match), which AWS, MinIO, Ceph, R2 and others
have. A lock without a sign of life for `LEASE_SECONDS`, or of a process of this machine that is dead, is taken over.
A server that ignores or refuses the condition gets a lock of this machine only, and a warning that says so.
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
from pipeline.storage.base import held_message, identity
from pipeline.storage.local import file_lock

LEASE_SECONDS = 60.0
BEAT_SECONDS = 15.0

_TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_UNSUPPORTED = frozenset({"NotImplemented", "501"})
_ATTEMPTS = 5

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def lease(client: Any, bucket: str, key: str, url: str) -> Iterator[None]:
    """Holds the lock object `key` while the block runs.

    Args:
        client: A boto3 S3 client.
        bucket: Where the lock object is.
        key: Its key.
        url: What it guards, for messages.

    Raises:
        StoreError: Somebody else holds it, or took it over while the block ran.
        botocore.exceptions.ClientError: The server refuses.
    """
    lock = _LockObject(client, bucket, key, url)
    if not lock.acquire():
        _log.warning("%s: this server has no conditional PUT: only runs on this machine are kept from writing too", url)
        digest = hashlib.sha256(url.encode()).hexdigest()[:16]
        with file_lock(Path(tempfile.gettempdir()) / f"bonafide-{digest}.lock", url):
            yield
        return
    done = threading.Event()
    heart = threading.Thread(target=lock.keep, args=(done,), name="store-lock", daemon=True)
    heart.start()
    try:
        yield
    finally:
        done.set()
        heart.join()
        lock.release()
    if lock.lost:
        raise StoreError(f"{url}: another run took the lock over while this one wrote; verify the store")


@dataclass(frozen=True)
class _Standing:
    """The lock object as it is on the server.

    Attributes:
        etag: Of this version of it.
        age_s: Since it was written, by the server's clock.
        content: Who wrote it.
    """

    etag: str
    age_s: float
    content: dict[str, Any]

    def is_dead(self) -> bool:
        """Whether its holder is surely gone."""
        if self.age_s > LEASE_SECONDS:
            return True
        here = _machine()
        return bool(here) and self.content.get("machine") == here and not _is_alive(self.content)


class _LockObject:
    def __init__(self, client: Any, bucket: str, key: str, url: str) -> None:
        self._client = client
        self._target = {"Bucket": bucket, "Key": key}
        self._url = url
        self._token = secrets.token_hex(16)
        self._beat = 0
        self._etag = ""
        self.lost = False

    def acquire(self) -> bool:
        """Whether the lock is held now; False where the server has no conditional PUT."""
        try:
            for _ in range(_ATTEMPTS):
                if self._put(IfNoneMatch="*"):
                    return self._is_enforced()
                standing = self._standing()
                if standing is None:
                    continue
                if not standing.is_dead():
                    holder = standing.content.get("holder", "another process")
                    sign = (
                        f"{holder} (last sign of life {standing.age_s:.0f} s ago, {LEASE_SECONDS:.0f} s free the lock)"
                    )
                    raise StoreError(held_message(self._url, sign))
                if self._put(IfMatch=standing.etag):
                    return True
        except _UnsupportedError:
            return False
        raise StoreError(f"{self._url}: other runs are fighting for the lock of this store; try again")

    def keep(self, done: threading.Event) -> None:
        """Renews the lock until `done`, or until it is lost."""
        while not done.wait(BEAT_SECONDS) and not self.lost:
            self._renew()

    def release(self) -> None:
        """Removes the lock object if it is still ours; where that fails, it is free after `LEASE_SECONDS`."""
        from botocore.exceptions import BotoCoreError, ClientError

        # Renewed first: nobody takes a fresh lock over between the two requests.
        if not self.lost and self._renew():
            with contextlib.suppress(BotoCoreError, ClientError):
                self._client.delete_object(**self._target)

    def _renew(self) -> bool:
        """Whether the lock is surely ours for another lease; sets `lost` when it is surely not."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._put(IfMatch=self._etag):
                return True
            standing = self._standing()
        except (BotoCoreError, ClientError) as error:
            _log.warning("%s: could not renew the lock: %s", self._url, error)
            return False
        # An answer that got lost on the way makes the client repeat its own successful PUT.
        if standing is None or standing.content.get("token") != self._token:
            self.lost = True
            return False
        self._etag = standing.etag
        return True

    def _put(self, **condition: str) -> bool:
        """Writes the lock object under a condition; whether the condition held."""
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
            code = str(error.response.get("Error", {}).get("Code"))
            if code in _UNSUPPORTED:
                raise _UnsupportedError from None
            if code in _TAKEN or code in ("NoSuchKey", "404"):
                return False
            raise
        self._etag = response["ETag"]
        return True

    def _is_enforced(self) -> bool:
        """Whether the server refuses to make the object that is already there; else it is removed again."""
        if self._put(IfNoneMatch="*"):
            self._client.delete_object(**self._target)
            return False
        return True

    def _standing(self) -> _Standing | None:
        from botocore.exceptions import ClientError

        try:
            response, body = self._read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return None
            raise
        now = email.utils.parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
        try:
            content = json.loads(body)
        except ValueError:
            content = {}
        return _Standing(response["ETag"], (now - response["LastModified"]).total_seconds(), content)

    def _read(self) -> tuple[Any, bytes]:
        """The answer of the server and the lock object's bytes."""
        from botocore.exceptions import FlexibleChecksumError

        for _ in range(_ATTEMPTS - 1):
            # A server that keeps bytes and checksum apart can give one of each while the holder renews its lock.
            with contextlib.suppress(FlexibleChecksumError):
                response = self._client.get_object(**self._target)
                return response, response["Body"].read()
        response = self._client.get_object(**self._target)
        return response, response["Body"].read()


class _UnsupportedError(Exception):
    """The server says that it has no conditional PUT."""


def _machine() -> str:
    """Names the set of processes whose ids mean the same here; empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _is_alive(content: dict[str, Any]) -> bool:
    try:
        process = psutil.Process(int(content["pid"]))
        same = abs(process.create_time() - float(content["started"])) < 2
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, KeyError, TypeError, ValueError):
        return True
