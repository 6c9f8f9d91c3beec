"""Fixtures around the S3-compatible server; a test that asks for one is skipped where the server cannot be built."""

import uuid
from collections.abc import Iterator

import pytest

from tests.support.s3_server import S3Server, S3ServerUnavailableError, run


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running server with one empty bucket, shared by the session's tests."""
    pytest.importorskip("boto3", reason="S3 needs boto3, of the extra s3")
    try:
        with run(tmp_path_factory.mktemp("s3")) as server:
            yield server
    except S3ServerUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def s3_url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An unused prefix of the bucket, `s3://bucket/prefix`; the environment leads every S3 client to the server."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{s3_server.bucket}/{uuid.uuid4().hex[:12]}/store"
