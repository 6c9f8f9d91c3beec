"""The command `validate`: what it writes, what it warns of, and what it does without."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

import bonafide
from model.evaluation.data_validation import validate
from model.evaluation.validation_files import read_report
from pipeline.store import FeatureStore
from tests.support.synthetic_store import files_of, manifest_of, small_params, write_store

N_CLIPS = 120


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(bonafide.app, ["validate", *map(str, arguments)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store of random measures with few clips."""
    folder = tmp_path_factory.mktemp("plain") / "store"
    write_store(folder, manifest_of(), small_params())
    return FeatureStore.open(folder)


@pytest.fixture(scope="module")
def unfair_store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store whose bona fide clips are those that begin with a long silence, and whose rejects are all spoof."""
    folder = tmp_path_factory.mktemp("unfair")
    manifest = manifest_of({"train": N_CLIPS, "dev": 3, "eval": 3})
    write_store(folder / "first", manifest, small_params())
    originals = FeatureStore.open(folder / "first").select(copy=0).index.to_pylist()
    begins_late = {row["utterance_id"] for row in originals if row["leading_silence_s"] > 0.15}
    rows = [
        row
        | ({"label": 1, "attack_id": None} if row["utterance_id"] in begins_late else {"label": 0, "attack_id": "A01"})
        for row in manifest.to_pylist()
    ]
    rejected = [row["utterance_id"] for row in rows if row["split"] == "train" and row["label"] == 0][:10]
    write_store(folder / "second", pa.Table.from_pylist(rows, schema=manifest.schema), small_params(), rejected)
    return FeatureStore.open(folder / "second")


def test_the_report_is_written_and_printed_as_json(tmp_path: Path, store: FeatureStore) -> None:
    printed = run("--store", store.storage.url, "--output", tmp_path, "--json").stdout
    expected = validate(store.index, store.rejects())
    assert json.loads(printed) == expected
    assert read_report(tmp_path) == expected


def test_twice_gives_the_same_bytes(tmp_path: Path, store: FeatureStore) -> None:
    for name in ("a", "b"):
        run("--store", store.storage.url, "--output", tmp_path / name)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_store_without_a_shortcut_gets_no_warning(tmp_path: Path, store: FeatureStore) -> None:
    output = " ".join(run("--store", store.storage.url, "--output", tmp_path).output.split())
    assert "no measure alone tells the classes apart" in output
    assert "rejected" not in output


def test_a_shortcut_and_uneven_rejects_are_told(tmp_path: Path, unfair_store: FeatureStore) -> None:
    output = " ".join(run("--store", unfair_store.storage.url, "--output", tmp_path).output.split())
    assert "leading silence, s │ 0.0%" in output
    assert "train: 0.0% of bona fide and" in output
    assert "the classes are not treated alike" in output


def test_neither_tensorflow_nor_beam_is_imported(tmp_path: Path, store: FeatureStore) -> None:
    code = """
import sys
import bonafide
try:
    bonafide.main()
except SystemExit as end:
    assert not end.code
heavy = {"tensorflow", "keras", "dvclive", "apache_beam", "sklearn"} & set(sys.modules)
assert not heavy, heavy
"""
    command = [sys.executable, "-c", code, "validate", "--store", store.storage.url, "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
