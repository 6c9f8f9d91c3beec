"""Fixtures around fake-gcs-server; a test that asks for one is skipped where the server cannot be built."""

import uuid
from collections.abc import Iterator

import pytest

from tests.support.gcs_server import GcsServer, run
from tests.support.go_tools import GoToolUnavailableError


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    """A running server with one empty bucket, shared by the session's tests."""
    pytest.importorskip("google.cloud.storage", reason="Google Cloud Storage needs its client, of the extra gs")
    try:
        with run(tmp_path_factory.mktemp("gcs")) as server:
            yield server
    except GoToolUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def gs_url(gcs_server: GcsServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """An unused prefix of the bucket, `gs://bucket/prefix`; the environment leads every client to the server."""
    for name, value in gcs_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"gs://{gcs_server.bucket}/{uuid.uuid4().hex[:12]}/store"
