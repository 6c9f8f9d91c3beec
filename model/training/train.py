"""Training: fits the network on train, chooses the epoch, the threshold and the calibration on dev, writes the bundle.

With `train.deterministic`, two runs on one machine give bit-identical files: seeds are fixed, TensorFlow runs its
deterministic kernels, and nothing written tells the time.
"""

from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf
from dvclive import Live

from model.artifacts import MACHINE_FILE, NETWORK_PICTURE
from model.bundle import Bundle, save_bundle
from model.dataset import scoring_batches, training_batches
from model.metrics import dev_threshold, fit_calibration
from model.networks import build_network
from model.params import TrainParams
from model.sampler import count_classes, crop_frames, steps_per_epoch
from model.scoring.scorer import ClipScorer, labelled_scores, split_trials
from model.training.callbacks import (
    EvaluateEpochs,
    KeepBestWeights,
    LogEpochs,
    Progressed,
    ReportProgress,
    StepsWithoutLogs,
)
from model.training.devices import computing_in, precision_policy, replica_devices, strategy_for
from model.training.epoch_metrics import Epoch, EpochLogits
from model.training.losses import make_loss
from model.training.machine import write_machine
from model.training.network_plot import draw_network
from pipeline.errors import ParamsError
from pipeline.store import FeatureStore


@dataclass(frozen=True)
class TrainingResult:
    """What a training run ended with.

    Attributes:
        best: The epoch whose weights were kept.
        epochs: Epochs run.
        threshold: Log-likelihood ratio from which a clip counts as bona fide.
        picture: Of the network, or None where no renderer is installed.
    """

    best: Epoch
    epochs: int
    threshold: float
    picture: Path | None


def train(
    store: FeatureStore,
    params: TrainParams,
    output: Path,
    report: Path,
    progressed: Progressed = lambda steps, total_steps, epoch, best: None,
) -> TrainingResult:
    """Trains a network and writes its bundle.

    Args:
        store: The feature store, with both classes in train and dev.
        params: Network and training.
        output: Folder of the bundle.
        report: Folder for the curves (dvclive) and the picture of the network.
        progressed: Called after every step.

    Raises:
        CorpusError: Train or dev lacks a class.
        ParamsError: The devices or the batch size do not fit the machine, or no such network or loss exists.
        ModelError: The training diverged.

    Warns:
        InvertedLabelsWarning: The EER on dev is above 50 %.
    """
    for split in ("train", "dev"):
        count_classes(store, split)
    keras.utils.set_random_seed(params.seed)
    if params.deterministic:
        tf.config.experimental.enable_op_determinism()
    steps = whole_executions(steps_per_epoch(store, params.batch_size), params.steps_per_execution)
    network, train_logits = compiled_network(store, params, steps)
    report.mkdir(parents=True, exist_ok=True)
    with Live(str(report), dvcyaml=None, report=None, save_dvc_exp=False) as live:
        evaluation = EvaluateEpochs(train_logits, store, params.batch_size)
        kept = KeepBestWeights(evaluation)
        callbacks = [
            evaluation,
            kept,
            keras.callbacks.EarlyStopping("dev_eer", patience=params.patience, mode="min"),
            LogEpochs(live, evaluation),
            ReportProgress(progressed, evaluation),
        ]
        network.fit(
            training_batches(store, params),
            epochs=params.epochs,
            steps_per_epoch=steps,
            verbose=0,
            callbacks=StepsWithoutLogs(callbacks, add_history=True, model=network, epochs=params.epochs, steps=steps),
        )
        best = evaluation.best
        assert best is not None  # there is at least one epoch
        live.summary["best"] = {"epoch": best.number, **{f"dev_{k}": v for k, v in best.dev.as_dict().items()}}
    # Mixed precision is for speed in training; the network that is kept computes in float32.
    network = build_network(network.input_shape[1], store.statistics, params)
    network.set_weights(kept.weights)
    bundle = calibrated_bundle(network, store, params, best.number)
    save_bundle(bundle, output)
    write_machine(report / MACHINE_FILE)
    picture = draw_network(network, report / NETWORK_PICTURE)
    return TrainingResult(best, len(evaluation.epochs), bundle.threshold, picture)


def compiled_network(store: FeatureStore, params: TrainParams, steps: int) -> tuple[keras.Model, EpochLogits]:
    """A network that is ready for `fit`, on the devices and in the precision of the parameters.

    Args:
        store: Its statistics normalise the network's input.
        params: Network and training.
        steps: Steps of an epoch.

    Returns:
        The network, and the metric that keeps the logits of an epoch.

    Raises:
        ParamsError: The devices or the batch size do not fit the machine, or no such network or loss exists.
    """
    devices = replica_devices(params.devices)
    if params.batch_size % len(devices):
        raise ParamsError(
            f"train.batch_size: {params.batch_size}: must be a multiple of the {len(devices)} devices it is split among"
        )
    with strategy_for(devices).scope():
        with computing_in(precision_policy(params.mixed_precision)):
            network = build_network(crop_frames(params.crop_s, store.features), store.statistics, params)
        train_logits = EpochLogits(steps * params.batch_size, len(devices))
        network.compile(
            optimizer=keras.optimizers.Adam(params.learning_rate),
            loss=make_loss(params),
            metrics=[train_logits],
            steps_per_execution=min(params.steps_per_execution, steps),
            jit_compile=params.jit_compile,
        )
    return network, train_logits


def whole_executions(steps: int, steps_per_execution: int) -> int:
    """The steps of an epoch, rounded up to whole executions: Keras never ends one in the middle."""
    size = min(steps_per_execution, steps)
    return -(-steps // size) * size


def calibrated_bundle(network: keras.Model, store: FeatureStore, params: TrainParams, epoch: int) -> Bundle:
    """The bundle of a trained network, with the calibration and the threshold that dev gives."""
    scorer = ClipScorer(network)
    logits = scorer.logits(scoring_batches(store, "dev", scorer.n_frames, params.batch_size))
    table = labelled_scores(split_trials(store, "dev"), logits, "dev")
    calibration = fit_calibration(table.bonafide, table.spoof)
    table = table.with_scores(calibration.apply(table.scores))
    return Bundle(
        network=network,
        features=store.features,
        calibration=calibration,
        threshold=dev_threshold(table),
        development=table,
        train=params,
        epoch=epoch,
        store_fingerprint=store.config_fingerprint,
    )
