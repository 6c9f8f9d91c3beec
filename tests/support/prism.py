"""Prism, Beam's portable runner in Go, for tests: built once by `make prism`."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.support import go_tools
from tests.support.server_process import free_port, server_process


def build() -> Path:
    """Gives the binary, built on first use; raises `GoToolUnavailableError`."""
    return go_tools.build("prism", Path(".cache/prism/prism"))


@contextlib.contextmanager
def endpoint(binary: Path, folder: Path) -> Iterator[str]:
    """Runs Prism as a job service of its own; gives its address."""
    port = free_port()
    command = [binary, f"--job_port={port}", "--serve_http=false"]
    with server_process(
        command, folder / "prism.log", lambda: socket.create_connection(("127.0.0.1", port), timeout=1)
    ):
        yield f"127.0.0.1:{port}"
