"""Prism, Beam's portable runner in Go, for tests: built once by `make prism`."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support import go_tools


def build() -> Path:
    """Gives the binary, built on first use; raises `GoToolUnavailableError`."""
    return go_tools.build("prism", Path(".cache/prism/prism"))


@contextlib.contextmanager
def endpoint(binary: Path, folder: Path) -> Iterator[str]:
    """Runs Prism as a job service of its own; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "prism.log").open("wb") as log:
        process = subprocess.Popen([binary, f"--job_port={port}", "--serve_http=false"], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, (folder / "prism.log").read_text()
            assert time.monotonic() < end, "Prism does not listen"
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
