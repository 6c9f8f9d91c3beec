"""What the service and the page accept: size, duration, and requests at once."""

from dataclasses import dataclass
from typing import Final

MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What is accepted.

    Attributes:
        max_bytes: Largest body of a request; all bodies are in memory.
        max_duration_s: Longest recording, seconds.
        max_requests: Requests for a score in progress at once.
        upload_timeout_s: Longest time for a body to arrive, seconds.
    """

    max_bytes: int = 32 * MEBIBYTE
    max_duration_s: float = 600.0
    max_requests: int = 100
    upload_timeout_s: float = 60.0
