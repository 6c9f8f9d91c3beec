"""The demo as a person gets it, in headless Chromium: every request goes to the machine itself."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.support.flac_bytes import constant_flac
from tests.support.hostile_audio import encoded
from tests.support.served import served

if TYPE_CHECKING:
    from model.detector import Detector

pytestmark = pytest.mark.slow

WIDTHS = (1280, 390)
LOCAL = ("data", "blob", "about")


@dataclass
class Opened:
    """An open page, the hosts that it asked, and what it complained of."""

    page: Any
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def verdict(self) -> str:
        """What the page says, as soon as it says something else than before."""
        text: str = self.page.inner_text("#verdict")
        return text


@pytest.fixture(scope="module")
def demo(detector: "Detector", sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("gradio", reason="needs the extra demo")
    from model.service.demo import make_demo
    from model.service.examples import find_examples
    from model.service.limits import MEBIBYTE, Limits

    before = dict(os.environ)
    limits = Limits(max_bytes=8 * MEBIBYTE)
    folder = tmp_path_factory.mktemp("uploads")
    with served(make_demo(detector, limits, find_examples(sample_corpus), folder)) as address:
        yield address
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(params=WIDTHS)
def opened(request: pytest.FixtureRequest, browser: Any, demo: str) -> Iterator[Opened]:
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    result = Opened(context.new_page())

    def note(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in LOCAL:
            result.hosts.add(str(parts.hostname))

    result.page.on("request", lambda asked: note(asked.url))
    result.page.on("websocket", lambda socket: note(socket.url))
    result.page.on("pageerror", lambda error: result.complaints.append(str(error)))
    result.page.on(
        "console", lambda said: result.complaints.append(said.text) if "Content Security Policy" in said.text else None
    )
    result.page.goto(demo)
    result.page.wait_for_selector("input[type=file]", state="attached", timeout=60_000)
    yield result
    context.close()
    assert result.hosts == {"127.0.0.1"}
    assert result.complaints == []


def drop(opened: Opened, path: Path) -> None:
    """Gives the page a file, in place of the one before."""
    if opened.page.locator("button[aria-label='Clear']").count():
        opened.page.click("button[aria-label='Clear']")
    opened.page.wait_for_selector("input[type=file]", state="attached")
    opened.page.set_input_files("input[type=file]", path)


def wait_for(opened: Opened, words: str) -> None:
    opened.page.wait_for_function(
        "words => document.querySelector('#verdict')?.innerText.includes(words)", arg=words, timeout=120_000
    )


def test_examples_of_both_classes_have_a_verdict_and_a_picture_within_the_page(opened: Opened) -> None:
    for number, kind in enumerate(("bona fide: ", "spoof (")):
        opened.page.get_by_text(kind).first.click()
        wait_for(opened, "Probability")
        opened.page.wait_for_function(
            "name => document.querySelector('#evidence img')?.naturalWidth > 0", arg="", timeout=120_000
        )
        if number == 0:
            opened.page.click("button[aria-label='Clear']")
            opened.page.wait_for_function("() => !document.querySelector('#evidence img')")
    width = opened.page.viewport_size["width"]
    assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert opened.page.locator("[data-testid='waveform-Recording'], #waveform, .waveform-container").count() > 0


def test_unfit_files_are_answered_kindly(opened: Opened, tmp_path: Path) -> None:
    seconds = np.arange(2 * 16000) / 16000
    files = {
        "tone.wav": (encoded((0.3 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32), "WAV"), "no speech found"),
        "text.wav": (b"this was never a sound\n" * 99, "This is no audio file"),
        "hour.flac": (constant_flac(3600 * 16000), "The recording is"),
    }
    for name, (content, words) in files.items():
        (tmp_path / name).write_bytes(content)
        drop(opened, tmp_path / name)
        wait_for(opened, words)


def test_a_file_that_is_no_audio_by_its_name_is_refused_by_the_page(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("this was never a sound\n" * 99)
    drop(opened, tmp_path / "notes.txt")

    opened.page.get_by_text("Invalid file type").first.wait_for(timeout=30_000)


def test_a_file_beyond_the_limit_is_refused_by_the_page(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "large.wav").write_bytes(bytes(9 << 20))
    drop(opened, tmp_path / "large.wav")

    opened.page.get_by_text("exceed the maximum").first.wait_for(timeout=30_000)
