import json
import math
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import model.bundle
from model.bundle import load_bundle, one_training, save_bundle
from model.errors import ModelError
from model.params import TrainParams
from model.training.train import train
from pipeline.errors import StoreError
from pipeline.storage.locks import file_lock
from pipeline.store import FeatureStore
from tests.support.damages import reseal_bundle
from tests.support.front_ends import LOG_LINEAR
from tests.support.parameters import ProjectParams
from tests.support.synthetic_store import files_of
from tests.support.tone_store import tone_manifest, write_tone_store
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


def test_a_bundle_holds_weights_dev_scores_and_description_and_no_more(trained: Trained) -> None:
    names = {"bundle.json", "model.keras", "dev_scores.txt", "domain.json"}
    assert {path.name for path in trained.model.iterdir()} == names


def test_the_description_says_how_audio_becomes_a_verdict(trained: Trained) -> None:
    description, bundle = described(trained.model), load_bundle(trained.model)

    assert description["store_fingerprint"] == trained.store.config_fingerprint
    assert description["front_end"]["parameters"]["n_mels"] == 16
    assert np.allclose(description["front_end"]["mean_db"], trained.store.statistics.mean)
    assert np.allclose(description["front_end"]["deviation_db"], trained.store.statistics.deviation)
    assert description["calibration"]["slope"] > 0
    assert bundle.development.spoof.min() < description["threshold"] <= bundle.development.bonafide.max()
    assert {"keras", "tensorflow"} <= set(description["versions"])


def test_the_network_opens_without_the_project(trained: Trained) -> None:
    with zipfile.ZipFile(trained.model / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))

    assert config["class_name"] == "Functional"
    assert {layer["module"] for layer in config["config"]["layers"]} == {"keras.layers"}


def test_no_model_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no trained model"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("name", ["model.keras", "dev_scores.txt", "domain.json"])
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


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"front_end": 1}'])
def test_a_damaged_description_is_refused(copied: Path, content: str) -> None:
    (copied / "bundle.json").write_text(content)

    with pytest.raises(ModelError, match=r"bundle.json cannot be read"):
        load_bundle(copied)


def test_a_bundle_of_another_version_is_refused(copied: Path) -> None:
    description = described(copied)
    (copied / "bundle.json").write_text(json.dumps({**description, "bundle_version": 99}))

    with pytest.raises(ModelError, match="bundle version 99"):
        load_bundle(copied)


@pytest.mark.parametrize("function", ["save_normalised", "write_json", "swap_in"])
def test_a_bundle_that_is_not_written_to_its_end_leaves_the_old_one(
    copied: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    newer = replace(load_bundle(trained.model), epoch=99)
    with monkeypatch.context() as patch:
        patch.setattr(model.bundle, function, interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_bundle(newer, copied)

    assert files_of(copied) == files_of(trained.model)
    save_bundle(newer, copied)
    assert load_bundle(copied).epoch == 99
    assert [path.name for path in copied.parent.iterdir()] == ["model"], "nothing is left beside it"


def test_one_process_writes_a_bundle_at_a_time(copied: Path, trained: Trained, train_params: TrainParams) -> None:
    bundle = load_bundle(trained.model)
    with (
        file_lock(copied.with_name(".model.lock"), str(copied), "is writing this model"),
        pytest.raises(StoreError, match=r"process \d+ on .* is writing this model; wait"),
    ):
        save_bundle(bundle, copied)
    with one_training(copied), pytest.raises(StoreError, match="is training this model"):
        train(trained.store, train_params, copied, copied.with_name("report"))
    save_bundle(bundle, copied)
    assert [path.name for path in copied.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda info: info.update(threshold=math.nan), "threshold"),
        (lambda info: info.update(threshold="0.5"), "threshold"),
        (lambda info: info.update(threshold=info["threshold"] + 1), "threshold"),
        (lambda info: info["calibration"].update(slope=0.0), "calibration.slope"),
        (lambda info: info["calibration"].update(slope=math.nan), "calibration.slope"),
        (lambda info: info.pop("sha256"), "sha256"),
        (lambda info: info["sha256"].pop("model.keras"), "sha256.model.keras"),
        (lambda info: info.update(surprise=1), "surprise"),
        (lambda info: info["training"].update(epoch=0), "training.epoch"),
        (lambda info: info["training"]["parameters"].update(crop_s=9.0), "training.parameters"),
        (lambda info: info["front_end"]["mean_db"].reverse(), "front_end.mean_db"),
        (lambda info: info["calibrated_on"].update(dev_spoof=3), "calibrated_on"),
    ],
)
def test_a_forged_value_is_refused_by_its_key(
    copied: Path, change: Callable[[dict[str, Any]], object], key: str
) -> None:
    reseal_bundle(copied, change)

    with pytest.raises(ModelError, match=rf"{re.escape(key)}.*bonafide train"):
        load_bundle(copied)


def test_a_changed_value_without_a_new_checksum_is_refused(copied: Path) -> None:
    path = copied / "bundle.json"
    path.write_text(path.read_text().replace('"intercept": ', '"intercept": 1'))

    with pytest.raises(ModelError, match="own_sha256"):
        load_bundle(copied)


def test_a_folder_with_other_files_is_not_replaced(copied: Path) -> None:
    (copied / "notes.txt").write_text("mine")

    with pytest.raises(ModelError, match=r"holds files that are not a model's, such as notes.txt"):
        save_bundle(load_bundle(copied), copied)

    assert (copied / "notes.txt").read_text() == "mine"


def test_a_file_is_no_folder_for_a_model(copied: Path) -> None:
    with pytest.raises(ModelError, match="is a file; choose a folder"):
        save_bundle(load_bundle(copied), copied / "model.keras")


def test_a_store_of_another_front_end_is_refused_with_the_difference(
    tmp_path: Path, trained: Trained, tone_params: ProjectParams
) -> None:
    features = tone_params.features.model_copy(update={"hop_length": 200, "silence_db": -70.0})
    counts = {"train": 3, "dev": 3, "eval": 0}
    other = write_tone_store(tmp_path, tone_manifest(counts), tone_params.model_copy(update={"features": features}))

    with pytest.raises(ModelError, match=r"hop_length 200 \(model: 160\)") as caught:
        load_bundle(trained.model).require_front_end_of(other)
    assert "silence_db" not in str(caught.value), "which clips are refused does not change what they look like"


def test_a_store_of_another_version_of_the_front_end_is_refused(trained: Trained) -> None:
    store = trained.store
    newer = FeatureStore(store.storage, {**store.info, "front_end_version": 99}, store.index)

    with pytest.raises(ModelError, match=r"version 99 \(model: 3\)"):
        load_bundle(trained.model).require_front_end_of(newer)


def test_a_store_of_another_kind_of_front_end_is_refused_with_the_difference(
    tmp_path: Path, trained: Trained, tone_params: ProjectParams
) -> None:
    counts = {"train": 3, "dev": 3, "eval": 0}
    params = tone_params.model_copy(update={"features": LOG_LINEAR})
    other = write_tone_store(tmp_path, tone_manifest(counts), params)

    with pytest.raises(ModelError, match=r"kind log_linear \(model: log_mel\).* n_mels absent \(model: 16\)"):
        load_bundle(trained.model).require_front_end_of(other)
