"""Each exported file opens in Netron: its packaged server loads the file, and a headless browser sees the graph."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netron
import pytest

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# What a person looks for in each graph.
SHOWN = {
    "saved_model/saved_model.pb": ("PartitionedCall",),
    "bonafide.onnx": ("waveform", "Conv", "MatMul", "score", "verdict"),
    "bonafide_float32.tflite": ("waveform", "Conv2D", "Rfft2d"),
    "bonafide_float16.tflite": ("waveform", "Conv2D", "Dequantize"),
    "bonafide_int8.tflite": ("waveform", "Conv2D", "Rfft2d"),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program, headless=True, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.mark.parametrize(("name", "expected"), SHOWN.items(), ids=SHOWN)
def test_netron_shows_the_graph(browser: Any, exported: Path, name: str, expected: tuple[str, ...]) -> None:
    host, port = address = netron.start(str(exported / name), ("127.0.0.1", None), browse=False)
    url, context = f"http://{host}:{port}", browser.new_context()
    try:
        # Netron asks for consent to count its users, and tries to: no request leaves this machine.
        context.add_cookies([{"name": "consent", "value": "1", "url": url}])
        page = context.new_page()
        page.route("**/*", lambda route: route.continue_() if route.request.url.startswith(url) else route.abort())
        page.goto(url)
        page.wait_for_selector("#canvas .graph-node", state="attached", timeout=60_000)
        graph = page.locator("#canvas").text_content()
    finally:
        context.close()
        netron.stop(address)
    for text in expected:
        assert text.lower() in graph.lower(), text
