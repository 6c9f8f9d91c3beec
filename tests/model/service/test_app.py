"""The HTTP service: answers, limits, and what it does not leave behind."""

import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.detector import Detector
from tests.model.service.conftest import LONGEST_S
from tests.support.hostile_audio import GOOD, encoded, hostile_files
from tests.support.tone_store import tone
from tests.support.trained_model import Trained

FLAC = {"Content-Type": "audio/flac"}
CLIP = encoded(tone("LA_E_0000001", False))


def post(client: Any, content: bytes, name: str = "clip.flac") -> Any:
    return client.post("/score", files={"file": (name, content)})


def assert_close(one: Any, other: Any) -> None:
    """Equal but for the last digits of floats, which depend on the size of a batch."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_close(value, other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_close(*pair)
    else:
        assert one == (pytest.approx(other, abs=1e-5) if isinstance(one, float) else other)


def test_the_answer_is_the_line_of_bonafide_score(
    client: Any, trained: Trained, tmp_path: Path, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    (tmp_path / "clip.flac").write_bytes(CLIP)
    code, printed = run_bonafide("score", "--model", trained.model, "--format", "jsonl", tmp_path / "clip.flac")
    answer = post(client, CLIP)

    assert (code, answer.status_code) == (0, 200)
    assert answer.headers["content-type"] == "application/json"
    assert_close(answer.json(), {**json.loads(printed.splitlines()[-1]), "path": "clip.flac"})


def test_a_body_is_scored_as_a_file_of_a_form(client: Any) -> None:
    for kind in ("audio/flac", "application/octet-stream", "video/webm"):
        answer = client.post("/score", content=CLIP, headers={"Content-Type": kind})
        assert answer.status_code == 200, answer.text
        assert_close(answer.json(), {**post(client, CLIP).json(), "path": "-"})


def test_requests_at_once_have_the_answers_that_each_has_alone(client: Any) -> None:
    clips = [encoded(tone(f"LA_E_{number:07d}", number % 3 == 0)) for number in range(24)]
    alone = [post(client, clip, f"{number}.flac").json() for number, clip in enumerate(clips)]
    with ThreadPoolExecutor(24) as pool:
        together = list(pool.map(lambda number: post(client, clips[number], f"{number}.flac"), range(24)))

    assert [answer.status_code for answer in together] == [200] * 24
    for answer, expected in zip(together, alone, strict=True):
        assert_close(answer.json(), expected)


def refusal(answer: Any) -> tuple[int, str]:
    assert set(answer.json()) == {"reason", "detail"}
    assert answer.json()["detail"]
    return answer.status_code, answer.json()["reason"]


def test_what_is_too_large_gets_413(client: Any) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(21):
            yield bytes(1 << 20)

    assert refusal(client.post("/score", content=bytes(21 << 20), headers=FLAC)) == (413, "too_large")
    assert refusal(client.post("/score", content=chunks(), headers=FLAC)) == (413, "too_large")
    assert refusal(post(client, bytes(21 << 20))) == (413, "too_large")


def test_what_is_too_long_gets_413(client: Any) -> None:
    seconds = np.random.default_rng(3).uniform(-0.5, 0.5, int((LONGEST_S + 1) * 16000)).astype(np.float32)

    assert refusal(post(client, encoded(seconds))) == (413, "too_long")
    assert post(client, encoded(seconds[: int(LONGEST_S * 16000)])).status_code == 200


def test_what_is_no_audio_gets_415(client: Any) -> None:
    assert refusal(post(client, b"this was never a sound\n" * 99)) == (415, "unsupported_format")
    for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded", "image/png"):
        answer = client.post("/score", content=CLIP, headers={"Content-Type": kind})
        assert refusal(answer) == (415, "unsupported_media_type")


def test_what_cannot_be_scored_gets_422(client: Any) -> None:
    assert refusal(post(client, CLIP[: len(CLIP) // 2])) == (422, "truncated")
    assert refusal(post(client, encoded(np.zeros(16000, np.float32)))) == (422, "silent")
    assert refusal(post(client, CLIP[:0])) == (422, "empty")
    assert refusal(client.post("/score", content=b"", headers=FLAC)) == (422, "empty")
    assert refusal(client.post("/score", content=b"")) == (422, "empty")
    assert refusal(client.post("/score", files={"other": ("a.flac", CLIP)})) == (422, "missing_file")
    assert refusal(client.post("/score", data={"file": "text"}, files={"other": b""})) == (422, "missing_file")
    two = [("file", ("a.flac", CLIP)), ("file", ("b.flac", CLIP))]
    assert refusal(client.post("/score", files=two)) == (422, "malformed_request")


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=x"]
)
@pytest.mark.parametrize("body", [b"", b"--x", CLIP, b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\n"])
def test_a_malformed_form_gets_422(client: Any, kind: str, body: bytes) -> None:
    assert client.post("/score", content=body, headers={"Content-Type": kind}).status_code == 422


def test_more_requests_than_the_limit_get_429_and_a_time_to_wait(detector: Detector) -> None:
    from starlette.testclient import TestClient

    from model.service.app import make_app
    from model.service.limits import Limits

    with TestClient(make_app(detector, Limits(max_requests=0))) as client:
        answer = post(client, CLIP)
        assert refusal(answer) == (429, "too_many_requests")
        assert answer.headers["retry-after"] == "1"
        assert 'bonafide_requests_total{status="429"} 1.0' in client.get("/metrics").text


def test_a_body_that_does_not_arrive_gets_408(detector: Detector) -> None:
    import http.client
    from urllib.parse import urlsplit

    from model.service.app import make_app
    from model.service.limits import Limits
    from tests.support.served import served

    with served(make_app(detector, Limits(upload_timeout_s=0.2))) as address:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        connection.putrequest("POST", "/score")
        connection.putheader("Content-Type", "audio/flac")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"begin")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["reason"]) == (408, "upload_timeout")


def test_hostile_files_are_refused_with_their_reasons(client: Any) -> None:
    wrong = {}
    for name, content, reasons in hostile_files():
        if not isinstance(content, bytes):
            continue
        answer = post(client, content, name)
        expected = frozenset(reasons.split())
        fine = answer.status_code == 200 if expected == GOOD else refusal(answer)[1] in expected
        if not fine:
            wrong[name] = (answer.status_code, answer.text[:200])
    assert wrong == {}
    assert post(client, CLIP).status_code == 200
    assert client.get("/healthz").json() == {"status": "ok"}


def test_no_request_makes_a_file(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    large = encoded(np.random.default_rng(5).uniform(-0.5, 0.5, 15 * 96000).astype(np.float32), "WAV", rate=96000)

    assert len(large) > 2 << 20
    assert post(client, large).status_code == 200
    assert client.post("/score", content=large, headers={"Content-Type": "audio/wav"}).status_code == 200


def test_metrics_count_requests_and_verdicts(client: Any) -> None:
    def value(name: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    before = value('bonafide_requests_total{status="200"}'), value("bonafide_verdicts_total")
    verdict = post(client, CLIP).json()["verdict"]

    assert value('bonafide_requests_total{status="200"}') == before[0] + 1
    assert value("bonafide_verdicts_total") == before[1] + 1
    assert value(f'bonafide_verdicts_total{{verdict="{verdict}"}}') > 0
    assert value("bonafide_requests_in_progress") == 0
    assert value("process_resident_memory_bytes") > 0


def test_the_documentation_loads_nothing_from_other_hosts(client: Any) -> None:
    page = client.get("/docs").text

    assert "swagger-ui-bundle.js" in page
    assert "://" not in page.replace("http://www.w3.org", "")
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200
    assert {"/score", "/healthz", "/metrics"} == set(client.get("/openapi.json").json()["paths"])
