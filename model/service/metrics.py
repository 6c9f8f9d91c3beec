"""The figures of the service for Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RECORDINGS: Final = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one service, in a registry of its own."""

    media_type: Final = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter("bonafide_requests", "Requests for a score by status.", ["status"], registry=registry)
        self.in_progress = Gauge(
            "bonafide_requests_in_progress", "Requests that are being read or scored.", registry=registry
        )
        self.seconds = Histogram(
            "bonafide_request_seconds", "From a request's head to its answer.", buckets=_SECONDS, registry=registry
        )
        self.batch = Histogram(
            "bonafide_batch_recordings", "Recordings scored together.", buckets=_RECORDINGS, registry=registry
        )
        self.verdicts = Counter("bonafide_verdicts", "Recordings by verdict.", ["verdict"], registry=registry)
        self.audio_s = Counter("bonafide_audio_seconds", "Duration of the scored recordings.", registry=registry)

    def text(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)
