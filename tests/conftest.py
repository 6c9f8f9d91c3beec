"""Fixtures that several test modules share."""

import os
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = [
    "tests.support.browser_fixtures",
    "tests.support.bucket_fixtures",
    "tests.support.console_fixtures",
    "tests.support.flink_fixtures",
]

# A busy machine is no reason for a property to fail.
hypothesis.settings.register_profile("bonafide", deadline=None)
hypothesis.settings.load_profile("bonafide")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout under test."""
    return REPOSITORY


@pytest.fixture(scope="session")
def sample_corpus() -> Path:
    """The sample corpus in the repository, in the ASVspoof 2019 LA layout."""
    return REPOSITORY / "data" / "sample" / "LA"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Development data kept outside the repository; the test is skipped where it is absent."""
    folder = Path(os.environ.get("BONAFIDE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no development data at {folder}; BONAFIDE_SHARED_DATA names another folder")
    return folder
