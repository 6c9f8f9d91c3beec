"""What the demo says of recordings, without a browser."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.detector import Caution, Detector, FileScore
from model.scoring.results import UNLIKE_TRAINING, WindowScore
from model.service.examples import find_examples
from model.service.result_html import problem_html, result_html
from tests.support.hostile_audio import encoded
from tests.support.tone_store import tone


@pytest.fixture
def environment() -> Iterator[None]:
    """Puts the environment back that the demo sets for Gradio."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def page(detector: Detector, tmp_path: Path, environment: None) -> Iterator[Any]:
    pytest.importorskip("gradio", reason="needs the extra demo")
    from starlette.testclient import TestClient

    from model.service.demo import make_demo
    from model.service.limits import MEBIBYTE, Limits

    with TestClient(make_demo(detector, Limits(max_bytes=MEBIBYTE), [], tmp_path)) as client:
        yield client


def test_examples_are_of_both_classes_and_several_attacks(sample_corpus: Path) -> None:
    examples = find_examples(sample_corpus)

    assert all(example.path.is_file() for example in examples)
    assert [example.title.partition(":")[0].partition(" (")[0] for example in examples] == ["bona fide"] * 3 + [
        "spoof"
    ] * 3
    assert len({example.title.partition(":")[0] for example in examples}) == 4, "three attacks"
    assert find_examples(sample_corpus / "nowhere") == []


def test_a_scored_recording_has_verdict_warnings_and_a_picture(detector: Detector, tmp_path: Path) -> None:
    from model.service.demo import judged

    path = tmp_path / "tone.flac"
    path.write_bytes(encoded(tone("LA_E_0000003", True)))
    verdict, evidence = judged(detector, path)

    assert "Uncertain: no speech found" in verdict
    assert "Probability" in verdict
    assert 'src="data:image/png;base64,' in evidence


def test_a_recording_that_cannot_be_scored_is_answered_kindly(detector: Detector, tmp_path: Path) -> None:
    from model.service.demo import judged

    for content, words in (
        (b"this was never a sound\n" * 99, "This is no audio file"),
        (encoded(np.zeros(16000, np.float32)), "The recording is silent"),
        (encoded(np.full(10, 0.5, np.float32)), "too short"),
        (encoded(tone("LA_E_0000003", True))[:5000], "Was it copied as a whole?"),
    ):
        path = tmp_path / "clip.flac"
        path.write_bytes(content)
        verdict, evidence = judged(detector, path)
        assert words in verdict
        assert evidence == ""


def test_names_and_messages_are_text_not_html(detector: Detector) -> None:
    warning = Caution("x", "<script>alert(1)</script>", unlike=True)
    stretch = WindowScore(1.0, 2.5, -3.0)
    record = FileScore(
        "a", "uncertain", UNLIKE_TRAINING, 0.5, 0.6, 0.0, 9.0, (warning,), (stretch,), suspicious=(stretch,)
    )
    html = result_html(record, detector.terms) + problem_html("unknown: <b>")

    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;" in html
    assert "suspicious from 1.0 to 2.5 s" in html
    assert "The file cannot be scored." in html


def test_the_page_lets_a_browser_ask_no_other_host(page: Any) -> None:
    answer = page.get("/")

    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert page.get("/config").json()["analytics_enabled"] is False


def test_an_upload_beyond_the_limit_is_refused(page: Any) -> None:
    def status(size: int) -> int:
        found: int = page.post("/gradio_api/upload", files={"files": ("a.wav", bytes(size))}).status_code
        return found

    assert status(1000) == 200
    assert status(3 << 20) == 413


def test_a_missing_extra_says_how_to_install_it() -> None:
    from model.cli.serve import require_extra
    from model.errors import ModelError

    require_extra("serve", "json")
    with pytest.raises(ModelError, match=r"gone_package: not installed; pip install 'bonafide\[serve\]'"):
        require_extra("serve", "json", "gone_package")
