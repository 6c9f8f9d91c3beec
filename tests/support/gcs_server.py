"""A server like Google Cloud Storage for tests: fake-gcs-server, built once by `make fake-gcs-server`, on a free port."""

import contextlib
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import go_tools


@dataclass(frozen=True)
class GcsServer:
    """A running server.

    Attributes:
        endpoint_url: Its address, `http://127.0.0.1:port`.
        bucket: A bucket that exists.
    """

    endpoint_url: str
    bucket: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead Google's clients to this server."""
        return {"STORAGE_EMULATOR_HOST": self.endpoint_url}


@contextlib.contextmanager
def run(folder: Path) -> Iterator[GcsServer]:
    """Runs a server with its data on disk below `folder`, and stops it in the end.

    Raises:
        GoToolUnavailableError: It cannot be built here.
    """
    binary = go_tools.build("fake-gcs-server", Path(".cache/gcs/fake-gcs-server"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    host, bucket = f"127.0.0.1:{port}", "features"
    (folder / "objects" / bucket).mkdir(parents=True)
    command = [
        *(binary, "-scheme=http", "-host=127.0.0.1", f"-port={port}", f"-public-host={host}"),
        *(f"-external-url=http://{host}", f"-filesystem-root={folder / 'objects'}", "-log-level=error"),
    ]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait_until_up(f"http://{host}", process, folder / "server.log")
            yield GcsServer(f"http://{host}", bucket)
        finally:
            process.terminate()
            process.wait(timeout=10)


def _wait_until_up(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(f"{address}/_internal/healthcheck", timeout=5),
        ):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"fake-gcs-server did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
