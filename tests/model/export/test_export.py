"""The exported models: what they take, what they give, and what describes them."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import keras
import pytest
from typer.testing import CliRunner

import bonafide
from model.bundle import load_bundle
from model.errors import ModelError
from model.export.export import export
from model.scoring.scorer import ClipScorer
from pipeline.frontends import make_front_end
from tests.support.synthetic_store import files_of
from tests.support.tone_store import tone


class Trained(Protocol):
    model: Path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Path:
    folder = tmp_path_factory.mktemp("export")
    export(load_bundle(trained.model), folder)
    return folder


def test_the_serving_model_gives_a_waveform_the_score_that_the_pipeline_gives_it(
    trained: Trained, exported: Path
) -> None:
    bundle = load_bundle(trained.model)
    serving = keras.saving.load_model(exported / "serving.keras")
    front_end, scorer = make_front_end(bundle.features), ClipScorer(bundle.network)

    for name in ("LA_E_0000000", "LA_E_0000001", "LA_E_0000007"):
        waveform = tone(name, bona_fide=name.endswith("0"))
        expected = bundle.calibration.apply(scorer.logit(front_end(waveform), 4))
        assert float(serving(waveform[None])[0]) == pytest.approx(float(expected), abs=1e-3)


def test_the_serving_model_opens_in_another_process_that_knows_its_layers_alone(exported: Path) -> None:
    code = """
import sys
import keras, numpy as np
import model.export.serving
score = keras.saving.load_model(sys.argv[1])(np.zeros((1, 8000), np.float32))
assert score.shape == (1,) and np.isfinite(float(score[0]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(exported / "serving.keras")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_description_says_what_goes_in_and_what_comes_out(trained: Trained, exported: Path) -> None:
    description, bundle = json.loads((exported / "export.json").read_text()), load_bundle(trained.model)

    assert (description["input"]["dtype"], description["input"]["shape"]) == ("float32", [1, None])
    assert description["input"]["sample_rate"] == bundle.features.sample_rate
    assert description["output"]["meaning"] == "log-likelihood ratio for bona fide"
    assert description["threshold"] == bundle.threshold
    assert description["store_fingerprint"] == bundle.store_fingerprint
    content = (exported / "serving.keras").read_bytes()
    assert description["files"]["serving.keras"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert set(description["files"]) == {path.name for path in exported.iterdir()} - {"export.json"}


def test_twice_gives_the_same_bytes(tmp_path: Path, trained: Trained, exported: Path) -> None:
    result = CliRunner().invoke(bonafide.app, ["export", "--model", str(trained.model), "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "serving.keras" in result.output
    assert files_of(tmp_path) == files_of(exported)


def test_without_a_model_nothing_is_exported(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        bonafide.app, ["export", "--model", str(tmp_path), "--output", str(tmp_path / "export")]
    )
    assert isinstance(result.exception, ModelError)
    assert not (tmp_path / "export").exists()
