"""One writer at a time on an object store: a lock object that only one process can create, renewed by a heartbeat.

A conditional PUT creates it and another renews it. A lock that was not renewed for `LEASE_SECONDS`, or whose holder is a dead
process of this machine, is taken over. On a server that ignores the condition, or refuses it and takes objects without one, the
lock only excludes writers on this machine, and a warning says so.
"""

import abc
import contextlib
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

LEASE_SECONDS = 60.0
"""Age at which a lock that nobody renewed may be taken over."""

BEAT_SECONDS = 15.0
"""Time between two renewals."""

_ATTEMPTS = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stored:
    """The lock object as the server has it.

    Attributes:
        version: Of the object; another one after each write.
        age_s: Seconds since it was written, by the server's clock.
        body: Its bytes.
    """

    version: str
    age_s: float
    body: bytes


class UnsupportedError(Exception):
    """The server has no conditional PUT."""


class LockObject(abc.ABC):
    """An object that is written under a condition. All raise `StoreError` where the server refuses, or does not answer."""

    @abc.abstractmethod
    def put(self, body: bytes, version: str | None) -> str | None:
        """Writes it and gives its new version, or None where the condition did not hold.

        Args:
            body: Its bytes.
            version: The condition: that the object has this version, or, with None, that there is no object.

        Raises:
            UnsupportedError: The server refuses the condition itself.
        """

    @abc.abstractmethod
    def read(self) -> Stored | None:
        """Reads it; None if there is none."""

    @abc.abstractmethod
    def delete(self) -> None:
        """Removes it."""


@contextlib.contextmanager
def lease(lock_object: LockObject, url: str) -> Iterator[None]:
    """Holds a lock object while the block runs.

    Args:
        lock_object: Of the store.
        url: The store that it guards, for messages.

    Raises:
        StoreError: Another process holds it, or took it over while the block ran; or the server refuses a request.
    """
    lock = _Lock(lock_object, url)
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


class _Lock:
    """The lock of one store, and this process's hold on it.

    Attributes:
        lost: Whether another process has taken the lock over.
    """

    def __init__(self, lock_object: LockObject, url: str) -> None:
        self._object = lock_object
        self._url = url
        self._token = secrets.token_hex(16)
        self._beat = 0
        self._version = ""
        self.lost = False

    def acquire(self) -> bool:
        """Takes the lock; False where the server has no conditional PUT.

        Raises:
            StoreError: Another process holds it.
        """
        try:
            for _ in range(_ATTEMPTS):
                if self._put(None):
                    return self._is_enforced()
                state = self._object.read()
                if state is None:
                    continue
                content = _content(state)
                if self._is_ours(state):
                    return True
                if not _is_expired(state, content):
                    holder = content.get("holder", "another process")
                    age = f"last renewed {state.age_s:.0f} s ago; the lock is free after {LEASE_SECONDS:.0f} s"
                    raise StoreError(held_message(self._url, f"{holder} ({age}) {WRITING}"))
                if self._put(state.version):
                    return True
        except UnsupportedError:
            return False
        raise StoreError(f"{self._url}: several runs try to take the lock of this store; run the command again")

    def keep(self, done: threading.Event) -> None:
        """Renews the lock until `done`, or until it is lost."""
        while not done.wait(BEAT_SECONDS) and not self.lost:
            self._renew()

    def release(self) -> None:
        """Removes the lock object if this process still holds it. Where that fails, it is free after `LEASE_SECONDS`."""
        # Renewed first, so that no other process takes it over between the two requests.
        if not self.lost and self._renew():
            with contextlib.suppress(StoreError):
                self._object.delete()

    def _renew(self) -> bool:
        """Renews the lock; False if that failed. Sets `lost` where another process has taken it."""
        try:
            if self._put(self._version):
                return True
            state = self._object.read()
        except StoreError as error:
            _log.warning("%s: could not renew the lock: %s", self._url, error)
            return False
        if state is None or not self._is_ours(state):
            self.lost = True
            return False
        return True

    def _put(self, version: str | None) -> bool:
        """Writes the lock object under a condition; False where the condition did not hold."""
        self._beat += 1
        content = {
            "holder": identity(),
            "machine": _machine(),
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "token": self._token,
            "beat": self._beat,
        }
        written = self._object.put(json.dumps(content).encode(), version)
        self._version = written or self._version
        return written is not None

    def _is_ours(self, state: Stored) -> bool:
        """Whether this lock wrote the object: a client repeats a PUT whose answer was lost, and its condition then fails."""
        ours = _content(state).get("token") == self._token
        if ours:
            self._version = state.version
        return ours

    def _is_enforced(self) -> bool:
        """Whether the server refuses to create an object that exists. Where it does not, the object is removed."""
        if self._put(None):
            self._object.delete()
            return False
        return True


def _content(state: Stored) -> dict[str, Any]:
    """The JSON of a lock object: holder, machine, pid, start time, token."""
    try:
        content = json.loads(state.body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _is_expired(state: Stored, content: dict[str, Any]) -> bool:
    """Whether a lock may be taken over: it was not renewed for `LEASE_SECONDS`, or its holder has ended."""
    if state.age_s > LEASE_SECONDS:
        return True
    here = _machine()
    return bool(here) and content.get("machine") == here and not _is_alive(content)


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
