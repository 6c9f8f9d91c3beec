"""The tests' model, exported once."""

from pathlib import Path

import pytest

from model.bundle import Bundle
from model.export.export import Corpus, ExportResult, export
from pipeline.corpus.manifest import build_manifest


@pytest.fixture(scope="session")
def small_corpus(sample_corpus: Path) -> Corpus:
    """A part of the sample corpus: real speech of 16 kHz."""
    return Corpus(build_manifest(sample_corpus, limit=20), sample_corpus)


@pytest.fixture(scope="session")
def export_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export") / "models"


@pytest.fixture(scope="session")
def export_result(bundle: Bundle, export_folder: Path, small_corpus: Corpus) -> ExportResult:
    report = export_folder.parent / "report"
    return export(bundle, export_folder, 0.5, 0.05, corpus=small_corpus, report=report)


@pytest.fixture(scope="session")
def exported(export_folder: Path, export_result: ExportResult) -> Path:
    """The folder of the exported models."""
    assert export_result.left_out == {}
    return export_folder
