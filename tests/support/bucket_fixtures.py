"""Fixtures of buckets on any kind of server."""

import pytest


@pytest.fixture(params=["s3", "gs"])
def object_url(request: pytest.FixtureRequest) -> str:
    """An unused prefix of a bucket, on a server of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
