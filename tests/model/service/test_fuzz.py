"""The service under requests that its own OpenAPI document and nobody's document describe."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.model.service.test_app import CLIP

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")
if TYPE_CHECKING:
    from model.detector import Detector


@pytest.fixture(scope="module")
def document(detector: "Detector") -> Iterator[Any]:
    from model.service.app import make_app
    from tests.support.served import served

    with served(make_app(detector)) as address:
        yield schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.mark.parametrize(("path", "method"), [("/score", "POST"), ("/healthz", "GET"), ("/metrics", "GET")])
def test_every_answer_is_as_documented(document: Any, path: str, method: str) -> None:
    # Without the plugin for pytest, which lags behind pytest.
    @settings(max_examples=80, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
    @given(case=document[path][method].as_strategy())
    def check(case: Any) -> None:
        case.call_and_validate(excluded_checks=[accepted])

    # The document says that a file is bytes, but not that they must be audio.
    accepted = schemathesis.checks.CHECKS.get_one("positive_data_acceptance")
    check()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.integers(0, len(CLIP)),
    changes=st.lists(st.tuples(st.integers(0, len(CLIP) - 1), st.integers(0, 255)), max_size=6),
    kind=st.sampled_from(["audio/flac", "application/octet-stream", "multipart/form-data; boundary=b"]),
)
def test_damaged_uploads_are_scored_or_refused(
    client: Any, cut: int, changes: list[tuple[int, int]], kind: str
) -> None:
    content = bytearray(CLIP)
    for place, value in changes:
        content[place] = value
    body = bytes(content[:cut])
    if kind.startswith("multipart"):
        body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + body + b"\r\n--b--\r\n"

    answer = client.post("/score", content=body, headers={"Content-Type": kind})

    assert answer.status_code in (200, 413, 415, 422), answer.text
