"""Fixtures of the Flink cluster. A test that uses one is skipped if no cluster can be started."""

import pytest

from tests.support.flink_cluster import FlinkUnavailableError, build


@pytest.fixture(scope="session")
def flink_is_built() -> None:
    """Flink's jars are fetched and the runner is built."""
    try:
        build()
    except FlinkUnavailableError as error:
        pytest.skip(str(error))
