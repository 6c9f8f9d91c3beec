"""Training: fits the network on train, chooses the epoch, the threshold and the calibration on dev, writes the bundle.

With `train.deterministic`, two runs on one machine give bit-identical files: seeds are fixed, TensorFlow runs its
deterministic kernels, and nothing written tells the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import tensorflow as tf
from dvclive import Live

from model.artifacts import NETWORK_PICTURE
from model.bundle import Bundle, save_bundle
from model.dataset import scoring_batches, training_batches
from model.metrics import dev_threshold
from model.networks import build_network
from model.params import TrainParams
from model.sampler import count_classes, crop_frames, steps_per_epoch
from model.scoring.scorer import ClipScorer, labelled_scores, split_trials
from model.training.calibrate import calibrate
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
from model.training.fused_norm import with_fused_norm
from model.training.held_out import HeldOutTrials
from model.training.losses import make_loss
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
        calibrated_on: Number of trials of each kind that calibration and threshold come from.
    """

    best: Epoch
    epochs: int
    threshold: float
    picture: Path | None
    calibrated_on: Mapping[str, int]


def _ignore(steps: int, total_steps: int, *_epoch: object) -> None:
    """Reports no progress."""


def train(
    store: FeatureStore,
    params: TrainParams,
    output: Path,
    report: Path,
    progressed: Progressed = _ignore,
    held_out: HeldOutTrials | None = None,
) -> TrainingResult:
    """Trains a network and writes its bundle.

    Args:
        store: The feature store, with both classes in train and dev.
        params: Network and training.
        output: Folder of the bundle.
        report: Folder for the curves (dvclive) and the picture of the network.
        progressed: Called after every step.
        held_out: Trials of attacks that were left out of train, for the calibration; None calibrates on dev alone.

    Raises:
        CorpusError: Train or dev lacks a class.
        ParamsError: The devices or the batch size do not fit the machine, or no such network or loss exists.
        ModelError: The training diverged, or `held_out` is of another feature store.

    Warns:
        InvertedLabelsWarning: The EER on dev is above 50 %.
    """
    if held_out is not None:
        held_out.require_store(store)
    _prepare(store, params)
    network, best, epochs = _fitted(store, params, report, progressed)
    bundle = calibrated_bundle(network, store, params, best.number, held_out)
    save_bundle(bundle, output)
    picture = draw_network(network, report / NETWORK_PICTURE)
    return TrainingResult(best, epochs, bundle.threshold, picture, bundle.calibrated_on)


def fit_network(store: FeatureStore, params: TrainParams, progressed: Progressed = _ignore) -> keras.Model:
    """Trains a network and keeps no file of it.

    Args:
        store: The feature store or a selection of it, with both classes in train and dev.
        params: Network and training.
        progressed: Called after every step.

    Raises:
        CorpusError: Train or dev lacks a class.
        ParamsError: The devices or the batch size do not fit the machine, or no such network or loss exists.
        ModelError: The training diverged.
    """
    _prepare(store, params)
    with TemporaryDirectory() as folder:
        return _fitted(store, params, Path(folder), progressed)[0]


def _prepare(store: FeatureStore, params: TrainParams) -> None:
    for split in ("train", "dev"):
        count_classes(store, split)
    keras.utils.set_random_seed(params.seed)
    if params.deterministic:
        tf.config.experimental.enable_op_determinism()


def _fitted(
    store: FeatureStore, params: TrainParams, report: Path, progressed: Progressed
) -> tuple[keras.Model, Epoch, int]:
    """The network with the weights that are kept, the epoch that they are of, and the number of epochs."""
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
    return network, best, len(evaluation.epochs)


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
            network = network if len(devices) > 1 else with_fused_norm(network)
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


def calibrated_bundle(
    network: keras.Model, store: FeatureStore, params: TrainParams, epoch: int, held_out: HeldOutTrials | None = None
) -> Bundle:
    """The bundle of a trained network, with the calibration and the threshold that dev and held-out attacks give."""
    scorer = ClipScorer(network)
    logits = scorer.logits(scoring_batches(store, "dev", scorer.n_frames, params.batch_size))
    dev = labelled_scores(split_trials(store, "dev"), logits, "dev")
    calibrated = calibrate(dev, held_out)
    return Bundle(
        network=network,
        features=store.features,
        calibration=calibrated.calibration,
        threshold=dev_threshold(calibrated.table),
        development=calibrated.table,
        calibrated_on=calibrated.counts,
        train=params,
        epoch=epoch,
        store_fingerprint=store.config_fingerprint,
    )
