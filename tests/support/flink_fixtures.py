"""Fixtures of the Flink cluster and of Prism. A test that uses one is skipped if it cannot be had."""

from pathlib import Path

import pytest

from tests.support.cluster_work import Work
from tests.support.flink_cluster import FlinkUnavailableError, build
from tests.support.go_tools import GoToolUnavailableError
from tests.support.prism import build as build_prism


@pytest.fixture(scope="session")
def flink_is_built() -> None:
    """Flink's jars are fetched and the stand-in for Beam's runner is built."""
    try:
        build()
    except FlinkUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def prism() -> Path:
    """The binary of Prism."""
    try:
        return build_prism()
    except GoToolUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory, sample_corpus: Path) -> Work:
    """A small job and its store of a local run."""
    return Work(tmp_path_factory.mktemp("work"), sample_corpus)
