"""A small store that the tests read, and damage in copies."""

from pathlib import Path

import pytest

from tests.support.synthetic_store import manifest_of, small_params, write_store


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store of `manifest_of()` with `small_params()`, which rejected LA_T_0000004."""
    folder = tmp_path_factory.mktemp("intact") / "store"
    write_store(folder, manifest_of(), small_params(), missing={"LA_T_0000004"})
    return folder
