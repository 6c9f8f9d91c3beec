"""Files compared with the size and the SHA-256 that the store states for them."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from pipeline.storage import Storage
from pipeline.store.checks.findings import Findings
from pipeline.store.schema import STORE_FILE

_BLOCK_BYTES: Final = 4 << 20


def check_file(name: str, size: int, sha256: str, files: Mapping[str, Any], findings: Findings) -> bool:
    """Whether a file has the size and SHA-256 that `files` states; True for a file that is not among them."""
    entry = files.get(name)
    if entry is None:  # a stray file, which another check finds, or no usable store.json
        return True
    if size != entry["size"]:
        findings.add(name, f"it has {size} bytes, {STORE_FILE} says {entry['size']}")
    elif sha256 != entry["sha256"]:
        findings.add(name, f"its SHA-256 is {sha256[:12]}…, {STORE_FILE} says {entry['sha256'][:12]}…")
    else:
        return True
    return False


class HashedFile:
    """A file that is read once from start to end, in blocks, and hashed meanwhile.

    Attributes:
        size: Of the file, in bytes.
        position: Bytes taken so far.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._hash = hashlib.sha256()
        self._buffer = b""
        self._read = 0
        self.size = storage.size(name)
        self.position = 0

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes read so far, which are all after `drain`."""
        return self._hash.hexdigest()

    def take(self, length: int) -> bytes:
        """The next `length` bytes, fewer at the end of the file."""
        pieces = [self._buffer]
        held = len(self._buffer)
        while held < length and self._read < self.size:
            pieces.append(self._next_block())
            held += len(pieces[-1])
        data = b"".join(pieces)
        self._buffer = data[length:]
        self.position += min(length, len(data))
        return data[:length]

    def drain(self) -> None:
        """Reads and hashes the rest of the file."""
        self._buffer = b""
        while self._read < self.size:
            self._next_block()

    def _next_block(self) -> bytes:
        block = self._storage.read_range(self._name, self._read, min(_BLOCK_BYTES, self.size - self._read))
        self._read += len(block)
        self._hash.update(block)
        return block
