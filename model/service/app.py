"""The HTTP service: `POST /score`, `/healthz`, `/metrics`, and the interactive documentation at `/docs`.

An answer is the JSON object of `bonafide score --format jsonl`. A request that gets no score has a status of 4xx and an object
with `reason`, which is short and stable, and `detail`, which is for people. Recordings are in memory only.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi_offline import FastAPIOffline
from starlette.requests import ClientDisconnect

from model.detector import Detector, FileScore, Terms
from model.scoring.results import with_terms
from model.service.batches import BatchScorer
from model.service.limits import Limits
from model.service.metrics import Metrics
from model.service.uploads import FIELD, RefusedError, discard, read_source

_DESCRIPTION: Final = """Tells real speech from fake speech. Send a recording to `/score`, as a file of a form:

    curl -F file=@call.flac http://127.0.0.1:8000/score

or as the body: `curl -H 'Content-Type: audio/flac' --data-binary @call.flac http://127.0.0.1:8000/score`."""
_STATUS_OF: Final = {"too_long": 413, "unsupported_format": 415}
_UNREADABLE: Final = 422
"""Of the other reasons for which audio cannot be scored."""
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_FORM_SCHEMA: Final = {
    "type": "object",
    "required": [FIELD],
    "properties": {FIELD: {"type": "string", "format": "binary"}},
}
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "A recording in any format that `bonafide score` reads.",
    "content": {
        "multipart/form-data": {"schema": _FORM_SCHEMA},
        "audio/*": _BINARY,
        "application/octet-stream": _BINARY,
    },
}


@dataclass(frozen=True, kw_only=True)
class ScoreAnswer(FileScore):
    """The record of a recording, and the terms of its verdict; docs/scoring.md describes the fields."""

    terms: Terms


@dataclass(frozen=True)
class Refusal:
    """Why a request gets no score."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Health:
    """Whether the service can score."""

    status: str


_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    408: {"model": Refusal, "description": "The body did not arrive in time"},
    413: {"model": Refusal, "description": "The recording is too large or too long"},
    415: {"model": Refusal, "description": "No audio, or a format that cannot be read"},
    422: {"model": Refusal, "description": "A malformed request, or a recording that is damaged, silent or too short"},
    429: {"model": Refusal, "description": "Too many requests at once; try again after `Retry-After` seconds"},
}


def make_app(detector: Detector, limits: Limits | None = None) -> FastAPI:
    """The service of a model.

    Args:
        detector: That scores; refuses recordings above its own longest duration.
        limits: What is accepted.
    """
    metrics = Metrics()
    service = _Service(detector, limits or Limits(), metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await asyncio.to_thread(service.close)

    app = FastAPIOffline(
        title="Bonafide", version=version("bonafide"), description=_DESCRIPTION, lifespan=lifespan, redoc_url=None
    )

    @app.post(
        "/score",
        summary="Score a recording",
        responses={200: {"model": ScoreAnswer, "description": "Verdict and score"}, **_REFUSALS},
        openapi_extra={"requestBody": _BODY},
    )
    async def score(request: Request) -> Response:
        return await service.answer(request)

    @app.get(
        "/healthz", summary="Whether the service can score", responses={200: {"model": Health}, 503: {"model": Health}}
    )
    async def healthz() -> Response:
        return _json(*((200, {"status": "ok"}) if service.alive else (503, {"status": "stopped"})))

    @app.get("/metrics", summary="Figures for Prometheus", responses={200: {"content": {"text/plain": {}}}})
    async def figures() -> Response:
        return Response(metrics.text(), media_type=metrics.media_type)

    return app


class _Service:
    """What the handlers share."""

    def __init__(self, detector: Detector, limits: Limits, metrics: Metrics) -> None:
        self._detector = detector
        self._limits = limits
        self._metrics = metrics
        self._scorer: BatchScorer | None = None
        self._in_progress = 0

    def start(self) -> None:
        self._scorer = BatchScorer(self._detector, self._metrics.batch.observe)

    def close(self) -> None:
        if self._scorer is not None:
            self._scorer.close()

    @property
    def alive(self) -> bool:
        return self._scorer is not None and self._scorer.alive

    async def answer(self, request: Request) -> Response:
        began = time.perf_counter()
        try:
            response = await self._score(request)
        except RefusedError as refusal:
            await discard(request, self._limits)
            response = _json(refusal.status, {"reason": refusal.reason, "detail": refusal.message})
            if refusal.status == 429:
                response.headers["Retry-After"] = "1"
        except ClientDisconnect:
            response = Response(status_code=499)  # nobody reads it
        except Exception:
            self._metrics.requests.labels("500").inc()
            raise
        self._metrics.requests.labels(str(response.status_code)).inc()
        self._metrics.seconds.observe(time.perf_counter() - began)
        return response

    async def _score(self, request: Request) -> Response:
        if self._in_progress >= self._limits.max_requests:
            text = f"{self._limits.max_requests} requests are in progress already; try again"
            raise RefusedError(429, "too_many_requests", text)
        self._in_progress += 1
        self._metrics.in_progress.set(self._in_progress)
        try:
            source = await read_source(request, self._limits)
            assert self._scorer is not None
            record = await asyncio.wrap_future(self._scorer.submit(source))
        finally:
            self._in_progress -= 1
            self._metrics.in_progress.set(self._in_progress)
        if record.problem is not None:
            reason, _, detail = record.problem.partition(": ")
            raise RefusedError(_STATUS_OF.get(reason, _UNREADABLE), reason, detail)
        self._metrics.verdicts.labels(record.verdict).inc()
        self._metrics.audio_s.inc(record.duration_s or 0.0)
        return _json(200, with_terms(record, self._detector.terms))


def _json(status: int, content: dict[str, Any]) -> Response:
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return Response(f"{text}\n", status, media_type="application/json")
