"""Each exported file opens in Netron: its packaged server loads the file, and a headless browser sees the graph."""

from pathlib import Path
from typing import Any

import netron
import pytest

pytestmark = pytest.mark.slow

# What a person looks for in each graph.
SHOWN = {
    "saved_model/saved_model.pb": ("PartitionedCall",),
    "bonafide.onnx": ("waveform", "Conv", "MatMul", "score", "verdict"),
    "bonafide_float32.tflite": ("waveform", "Conv2D", "Rfft2d"),
    "bonafide_float16.tflite": ("waveform", "Conv2D", "Dequantize"),
    "bonafide_int8.tflite": ("waveform", "Conv2D", "Rfft2d"),
}


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
