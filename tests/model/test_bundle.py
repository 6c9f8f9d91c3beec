import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from model.bundle import load_bundle, save_bundle, save_normalised
from model.errors import ModelError
from model.params import Params
from model.scoring.scorer import ClipScorer
from pipeline.frontends.log_mel import LogMel
from tests.support.tone_store import tone, tone_manifest, write_tone_store
from tests.support.trained_model import Trained


@pytest.fixture
def copied(tmp_path: Path, trained: Trained) -> Path:
    return Path(shutil.copytree(trained.model, tmp_path / "model"))


def described(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "bundle.json").read_text())
    return content


def test_a_bundle_that_was_read_and_written_again_is_the_same(tmp_path: Path, trained: Trained) -> None:
    save_bundle(load_bundle(trained.model), tmp_path)

    for path in trained.model.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_description_says_how_audio_becomes_a_verdict(trained: Trained) -> None:
    description, bundle = described(trained.model), load_bundle(trained.model)

    assert description["store_fingerprint"] == trained.store.config_fingerprint
    assert description["front_end"]["parameters"]["n_mels"] == 16
    assert np.allclose(description["front_end"]["mean_db"], trained.store.statistics.mean)
    assert np.allclose(description["front_end"]["deviation_db"], trained.store.statistics.deviation)
    assert description["calibration"]["slope"] > 0
    assert bundle.development.spoof.min() < description["threshold"] <= bundle.development.bonafide.max()
    assert {"keras", "tensorflow"} <= set(description["versions"])


def test_archives_hold_no_date_and_no_memory_address(trained: Trained) -> None:
    for name in ("model.keras", "serving.keras"):
        with zipfile.ZipFile(trained.model / name) as archive:
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            assert "date_saved" not in json.loads(archive.read("metadata.json"))
            text = archive.read("config.json").decode()
            assert all(len(part.split(",")[0].rstrip("}")) < 4 for part in text.split('"shared_object_id": ')[1:])


def test_equal_weights_are_equal_bytes(tmp_path: Path, trained: Trained) -> None:
    for name in ("a", "b"):
        model = keras.saving.load_model(trained.model / "model.keras")
        save_normalised(model, tmp_path / f"{name}.keras")

    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_the_network_opens_without_the_project(trained: Trained) -> None:
    with zipfile.ZipFile(trained.model / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))

    assert config["class_name"] == "Functional"
    assert {layer["module"] for layer in config["config"]["layers"]} == {"keras.layers"}


def test_the_serving_model_gives_a_waveform_the_score_that_the_pipeline_gives_it(trained: Trained) -> None:
    bundle = load_bundle(trained.model)
    serving = keras.saving.load_model(trained.model / "serving.keras")
    front_end, scorer = LogMel(bundle.features), ClipScorer(bundle.network)

    for name in ("LA_E_0000000", "LA_E_0000001", "LA_E_0000007"):
        waveform = tone(name, bona_fide=name.endswith("0"))
        expected = bundle.calibration.apply(scorer.logit(front_end(waveform), 4))
        assert float(serving(waveform[None])[0]) == pytest.approx(float(expected), abs=1e-3)


def test_no_model_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no trained model"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("name", ["model.keras", "serving.keras", "dev_scores.txt"])
def test_a_file_that_changed_is_refused_by_name(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)

    with pytest.raises(ModelError, match=f"{name} is not the file that bundle.json describes"):
        load_bundle(copied)


def test_a_file_that_is_gone_is_refused_by_name(copied: Path) -> None:
    (copied / "model.keras").unlink()

    with pytest.raises(ModelError, match=r"model.keras cannot be read"):
        load_bundle(copied)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"bundle_version": 1}'])
def test_a_damaged_description_is_refused(copied: Path, content: str) -> None:
    (copied / "bundle.json").write_text(content)

    with pytest.raises(ModelError, match=r"bundle.json cannot be read"):
        load_bundle(copied)


def test_a_bundle_of_another_version_is_refused(copied: Path) -> None:
    description = described(copied)
    (copied / "bundle.json").write_text(json.dumps({**description, "bundle_version": 99}))

    with pytest.raises(ModelError, match="bundle version 99"):
        load_bundle(copied)


def test_a_bundle_being_replaced_does_not_count(copied: Path, trained: Trained) -> None:
    broken = replace(load_bundle(trained.model), network=None)

    with pytest.raises(AttributeError):
        save_bundle(broken, copied)

    with pytest.raises(ModelError, match="no trained model"):
        load_bundle(copied)


def test_a_store_of_another_front_end_is_refused_with_the_difference(
    tmp_path: Path, trained: Trained, tone_params: Params
) -> None:
    features = tone_params.features.model_copy(update={"hop_length": 200, "silence_db": -70.0})
    counts = {"train": 3, "dev": 3, "eval": 0}
    other = write_tone_store(tmp_path, tone_manifest(counts), tone_params.model_copy(update={"features": features}))

    with pytest.raises(ModelError, match=r"hop_length 200 \(model: 160\)") as caught:
        load_bundle(trained.model).require_front_end_of(other)
    assert "silence_db" not in str(caught.value), "which clips are refused does not change what they look like"
