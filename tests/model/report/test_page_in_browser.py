"""The page as a person gets it: opened from disk in headless Chromium."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")

PLAYABLE = """
() => Promise.all([...document.querySelectorAll("audio")].map((audio) => new Promise((done) => {
  const report = () => done({ready: audio.readyState, duration: audio.duration});
  audio.addEventListener("canplay", report);
  audio.addEventListener("error", () => done({error: String(audio.error && audio.error.message)}));
  setTimeout(report, 20000);
  audio.preload = "auto";
  audio.load();
})))
"""
CHARTS = """
() => [...document.querySelectorAll(".chart")].map((div) => ({
  id: div.id,
  plots: div.querySelectorAll("svg .cartesianlayer .subplot").length,
  marks: div.querySelectorAll("svg .cartesianlayer .trace path").length,
  width: div.querySelector("svg") ? div.querySelector("svg").getBoundingClientRect().width : 0,
}))
"""
CONTRASTS = """
() => {
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const parsed = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((v) => channel(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const back = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parsed(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest("svg") || !element.getClientRects().length) continue;
    const [a, b] = [parsed(getComputedStyle(element).color), back(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...new Set(poor)];
}
"""


@dataclass
class Opened:
    """An open page and what it complained of or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, page: str) -> Path:
    path = tmp_path_factory.mktemp("browser") / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=[(width, scheme) for width in WIDTHS for scheme in SCHEMES], ids=str)
def opened(request: pytest.FixtureRequest, browser: Any, file: Path) -> Iterator[Opened]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    result = Opened(context.new_page())
    result.page.on("console", lambda message: result.complaints.append(f"{message.type}: {message.text}"))
    result.page.on("pageerror", lambda error: result.complaints.append(str(error)))
    result.page.on("request", lambda asked: result.requests.append(asked.url))
    result.page.goto(file.as_uri())
    count = result.page.locator(".chart").count()
    result.page.wait_for_function(
        "count => document.querySelectorAll('.chart .cartesianlayer .subplot').length >= count",
        arg=count,
        timeout=60_000,
    )
    yield result
    context.close()


def test_every_chart_is_drawn_within_the_page(opened: Opened) -> None:
    charts = opened.page.evaluate(CHARTS)

    assert len(charts) == 9
    for chart in charts:
        assert chart["plots"] == 1, chart
        assert chart["marks"] > 0, chart
        assert 200 < chart["width"] <= opened.page.viewport_size["width"], chart


def test_every_clip_can_be_played(opened: Opened) -> None:
    sounds = opened.page.evaluate(PLAYABLE)

    assert len(sounds) == 2
    for sound in sounds:
        assert sound.get("ready", 0) >= 2, sound
        assert sound["duration"] > 0


def test_every_picture_is_there(opened: Opened) -> None:
    broken = opened.page.evaluate("() => [...document.images].filter((i) => !i.naturalWidth).map((i) => i.alt)")

    assert broken == []


def test_nothing_sticks_out_of_the_page(opened: Opened) -> None:
    width = opened.page.evaluate("document.documentElement.scrollWidth")

    assert width <= opened.page.viewport_size["width"]


def test_text_stands_out_from_its_ground(opened: Opened) -> None:
    assert opened.page.evaluate(CONTRASTS) == []


def test_a_click_in_the_legend_hides_a_class_and_a_change_of_colours_leaves_it_hidden(opened: Opened) -> None:
    page = opened.page
    state = "() => document.getElementById('chart-scores').data.map((trace) => trace.visible)"
    before = page.evaluate(state)
    page.evaluate("() => Plotly.restyle('chart-scores', {visible: 'legendonly'}, [0])")
    was_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    page.emulate_media(color_scheme="light" if was_dark else "dark")

    assert before[0] is True
    assert page.evaluate(state)[0] == "legendonly"
    page.emulate_media(color_scheme="dark" if was_dark else "light")


def test_the_evidence_can_be_switched_off(opened: Opened) -> None:
    evidence = opened.page.locator(".evidence").first
    assert evidence.is_visible()

    opened.page.locator(".spectrogram input").first.uncheck()

    assert not evidence.is_visible()
    opened.page.locator(".spectrogram input").first.check()


def test_it_prints_on_white_and_comes_back(opened: Opened) -> None:
    page = opened.page
    colours = "() => getComputedStyle(document.documentElement).getPropertyValue('--surface').trim()"
    before = page.evaluate(colours)

    document = page.pdf(format="A4")

    assert document.startswith(b"%PDF")
    assert page.evaluate(colours) == before


def test_there_was_no_complaint_and_no_request_left_the_file(opened: Opened, file: Path) -> None:
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("data:", "blob:")) and url != file.as_uri()] == []
