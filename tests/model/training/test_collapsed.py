"""A network that gives one value for every clip, and a dev that is too small to tell anything."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from model import networks
from model.bundle import load_bundle
from model.evaluation.evaluate import evaluate
from model.detector import Detector
from model.params import TrainParams
from model.report.conclusion import conclude
from model.training.train import train
from pipeline.errors import CorpusError
from pipeline.store import FeatureStore
from tests.support.parameters import ProjectParams
from tests.support.tone_store import tone_manifest, write_tone_store


def constant(n_frames: int, statistics: Any, params: TrainParams) -> keras.Model:
    inputs = keras.Input((n_frames, len(statistics.mean)))
    variance = (statistics.deviation**2).tolist()
    values = keras.layers.Normalization(mean=statistics.mean.tolist(), variance=variance, name="normalise")(inputs)
    values = keras.layers.Rescaling(0.0)(keras.layers.GlobalAveragePooling1D()(values))
    return keras.Model(inputs, keras.layers.Dense(1)(values))


def test_a_collapsed_network_is_trained_kept_and_evaluated_with_an_eer_of_half(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tone_store: FeatureStore,
    tone_params: ProjectParams,
) -> None:
    monkeypatch.setitem(networks.NETWORKS, "resnet", constant)
    params = tone_params.train.model_copy(update={"network": "resnet"})
    told: list[str] = []

    result = train(tone_store, params, tmp_path / "model", tmp_path / "report", notified=told.append)

    assert result.epochs == 4
    assert (result.kept.dev.eer, result.kept.dev.auc) == (0.5, 0.5)
    assert len([text for text in told if "one value for every clip" in text]) == 1
    assert "train.learning_rate" in told[0]

    bundle = load_bundle(tmp_path / "model")
    assert np.all(bundle.development.scores == 0.0), "no evidence for either class"
    outcome = evaluate(tone_store, bundle, tone_params.evaluate, tmp_path / "evaluation")
    for split in ("dev", "eval"):
        found = outcome.metrics[split]
        assert (found["eer"], found["is_constant"]) == (0.5, True)
        assert found["uncertain"] == 1.0
    assert all("one value for every clip" in note for note in outcome.notes)
    assert len(outcome.notes) == 2
    details = json.loads((tmp_path / "evaluation" / "details.json").read_text())
    assert "the same score to every clip" in conclude(details["eval"], "eval").sentence
    assert list(Detector(bundle, checks=False).score_files([])) == []


def test_a_dev_of_one_clip_of_a_class_is_refused_before_training(
    tmp_path: Path, tone_params: ProjectParams, train_params: TrainParams
) -> None:
    store = write_tone_store(tmp_path / "store", tone_manifest({"train": 48, "dev": 2, "eval": 24}), tone_params)

    with pytest.raises(CorpusError, match=r"dev split holds 1 bona fide and 1 spoof clips.*at least 2 of each"):
        train(store, train_params, tmp_path / "model", tmp_path / "report")

    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "report").exists()
