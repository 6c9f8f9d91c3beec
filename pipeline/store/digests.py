"""Canonical JSON, and the SHA-256 digests by which a store identifies values and files."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> bytes:
    """JSON that is the same for equal values: sorted keys, no blanks, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, as hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def file_entry(data: bytes) -> dict[str, Any]:
    """Size in bytes and SHA-256 of a file's content, as store.json and the index parts state them."""
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def own_checksum(info: Mapping[str, Any]) -> str:
    """The SHA-256 that store.json states about itself: that of its content without the key `sha256`."""
    return digest({key: value for key, value in info.items() if key != "sha256"})
