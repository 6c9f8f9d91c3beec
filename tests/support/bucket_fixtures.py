"""Fixtures of buckets; a test that asks for one is skipped where its server cannot be built."""

import contextlib
import uuid
from collections.abc import Iterator

import pytest

from tests.support import gcs_server as gcs
from tests.support import s3_server as s3
from tests.support.go_tools import GoToolUnavailableError


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.S3Server]:
    """A running S3-compatible server with one empty bucket, shared by the session's tests."""
    pytest.importorskip("boto3", reason="S3 needs boto3, of the extra s3")
    with _skipped_where_unavailable(), s3.run(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gcs.GcsServer]:
    """A running fake-gcs-server with one empty bucket, shared by the session's tests."""
    pytest.importorskip("google.cloud.storage", reason="Google Cloud Storage needs its client, of the extra gs")
    with _skipped_where_unavailable(), gcs.run(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture
def s3_url(s3_server: s3.S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An unused prefix of the bucket, `s3://bucket/prefix`; the environment leads every S3 client to the server."""
    return _unused(f"s3://{s3_server.bucket}", s3_server.environment, monkeypatch)


@pytest.fixture
def gs_url(gcs_server: gcs.GcsServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """An unused prefix of the bucket, `gs://bucket/prefix`; the environment leads every client to the server."""
    return _unused(f"gs://{gcs_server.bucket}", gcs_server.environment, monkeypatch)


@pytest.fixture(params=["s3", "gs"])
def object_url(request: pytest.FixtureRequest) -> str:
    """An unused prefix of a bucket, on a server of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@contextlib.contextmanager
def _skipped_where_unavailable() -> Iterator[None]:
    try:
        yield
    except GoToolUnavailableError as error:
        pytest.skip(str(error))


def _unused(bucket: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return f"{bucket}/{uuid.uuid4().hex[:12]}/store"
