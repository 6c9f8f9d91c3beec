"""A server like Google Cloud Storage for tests: fake-gcs-server, built once by `make fake-gcs-server`, on a free port."""

import contextlib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import go_tools
from tests.support.server_process import free_port, server_process


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
    port, bucket = free_port(), "features"
    host = f"127.0.0.1:{port}"
    (folder / "objects" / bucket).mkdir(parents=True)
    command = [
        *(binary, "-scheme=http", "-host=127.0.0.1", f"-port={port}", f"-public-host={host}"),
        *(f"-external-url=http://{host}", f"-filesystem-root={folder / 'objects'}", "-log-level=error"),
    ]
    health = f"http://{host}/_internal/healthcheck"
    with server_process(command, folder / "server.log", lambda: urllib.request.urlopen(health, timeout=5)):
        yield GcsServer(f"http://{host}", bucket)
