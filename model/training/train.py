"""Training: fits the network on train, finds the threshold and the calibration on dev, writes the bundle.

With `train.deterministic`, two runs on one machine give bit-identical files: seeds are fixed, TensorFlow runs its
deterministic kernels, and nothing written tells the time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import keras
import tensorflow as tf
from dvclive import Live

from model.artifacts import MACHINE_FILE, NETWORK_PICTURE
from model.bundle import Bundle, one_training, require_bundle_folder, save_bundle
from model.dataset import scoring_batches, store_errors, training_batches
from model.metrics import dev_threshold
from model.networks import build_network
from model.params import TrainParams
from model.sampler import count_classes, crop_frames
from model.scoring.scorer import ClipScorer, labelled_scores, split_trials
from model.training.averaging import AverageWeights
from model.training.calibrate import calibrate
from model.training.callbacks import (
    EvaluateEpochs,
    KeepWeights,
    LogEpochs,
    Progressed,
    ReportProgress,
    SaveCheckpoint,
    StepsWithoutLogs,
)
from model.training.checkpoint import Checkpoint, describe_origin
from model.training.devices import computing_in, precision_policy, replica_devices, strategy_for
from model.training.domain import fit_domain
from model.training.epoch_metrics import Epoch, EpochLogits
from model.training.fused_norm import with_fused_norm
from model.training.held_out import HeldOutTrials
from model.training.losses import make_loss
from model.training.machine import write_machine
from model.training.network_plot import draw_network
from model.training.optimizer import make_optimizer
from pipeline.corpus.schema import BONA_FIDE, SPOOF
from pipeline.errors import CorpusError, ParamsError
from pipeline.files import replaced_folder
from pipeline.store import FeatureStore

FEWEST_DEV_CLIPS: Final = 2
"""Fewest clips of each class in dev with which a network is trained."""
_REPORT_FILES: Final = ("metrics.json", "plots", NETWORK_PICTURE, MACHINE_FILE)


@dataclass(frozen=True)
class TrainingResult:
    """What a training run ended with.

    Attributes:
        kept: The epoch whose weights were kept.
        epochs: Epochs run, those before an interruption included.
        threshold: Log-likelihood ratio from which a clip counts as bona fide.
        picture: Of the network, or None where no renderer is installed.
        calibrated_on: Number of trials of each kind that calibration and threshold come from.
    """

    kept: Epoch
    epochs: int
    threshold: float
    picture: Path | None
    calibrated_on: Mapping[str, int]


def _ignore(steps: int, total_steps: int, latest: Epoch | None) -> None:
    """Reports no progress."""


def _say_nothing(message: str) -> None:
    """Tells nobody."""


def train(
    store: FeatureStore,
    params: TrainParams,
    output: Path,
    report: Path,
    progressed: Progressed = _ignore,
    notified: Callable[[str], None] = _say_nothing,
    held_out: HeldOutTrials | None = None,
) -> TrainingResult:
    """Trains a network and writes its bundle.

    An interrupted training of the same parameters, store, code and devices is resumed after its last whole epoch, from the
    checkpoint in `model.bundle.work_folder`; in deterministic mode its files are those of an undisturbed run.

    Args:
        store: The feature store, with both classes in train and dev.
        params: Network and training.
        output: Folder of the bundle.
        report: Folder for the curves (dvclive) and the picture of the network. Both folders keep what an earlier training
            wrote until this one is whole.
        progressed: Called after every step.
        notified: Takes a sentence about a checkpoint that is used or discarded, or about a network that has collapsed.
        held_out: Trials of attacks that were left out of train, for the calibration; None calibrates on dev alone.

    Raises:
        CorpusError: Train or dev lacks a class, or dev has too few clips.
        ParamsError: The devices or the batch size do not fit the machine, or no such network or loss exists.
        ModelError: The training diverged, the folder of the bundle holds other files, or `held_out` is of another store.
        OSError: The folder of the curves holds other files, or another process writes it.
        StoreError: A record is damaged, or another example's; or another process trains this bundle.

    Warns:
        InvertedLabelsWarning: The EER on dev is above 50 %.
    """
    if held_out is not None:
        held_out.require_store(store)
    require_bundle_folder(output)
    with one_training(output):
        _prepare(store, params)
        checkpoint = Checkpoint(output, describe_origin(store, params))
        with replaced_folder(report, _REPORT_FILES) as curves:
            network, epoch, epochs = _fitted(store, params, curves, checkpoint, progressed, notified)
            bundle = calibrated_bundle(network, store, params, epoch.number, held_out)
            write_machine(curves / MACHINE_FILE)
            drawn = draw_network(network, curves / NETWORK_PICTURE) is not None
            save_bundle(bundle, output)
        # Not before: a training that is killed between model and curves writes both again.
        checkpoint.remove()
    picture = report / NETWORK_PICTURE if drawn else None
    return TrainingResult(epoch, epochs, bundle.threshold, picture, bundle.calibrated_on)


def fit_network(
    store: FeatureStore,
    params: TrainParams,
    folder: Path,
    origin: Mapping[str, Any] = MappingProxyType({}),
    progressed: Progressed = _ignore,
    notified: Callable[[str], None] = _say_nothing,
) -> keras.Model:
    """Trains a network and keeps no file of it but its last checkpoint, from which the next call goes on.

    Args:
        store: The feature store or a selection of it, with both classes in train and dev.
        params: Network and training.
        folder: For the checkpoint and the curves.
        origin: What the training is made of beside `describe_origin`, such as the selection of the store.
        progressed: Called after every step.
        notified: Takes a sentence about a checkpoint that is used or discarded.

    Raises:
        CorpusError: Train or dev lacks a class, or dev has too few clips.
        ParamsError: The devices or the batch size do not fit the machine, or no such network or loss exists.
        ModelError: The training diverged.
    """
    _prepare(store, params)
    checkpoint = Checkpoint(folder / "model", {**describe_origin(store, params), **origin})
    return _fitted(store, params, folder / "report", checkpoint, progressed, notified)[0]


def _prepare(store: FeatureStore, params: TrainParams) -> None:
    counts = {split: count_classes(store, split) for split in ("train", "dev")}
    fewest = min(counts["dev"].values())
    if fewest < FEWEST_DEV_CLIPS:
        raise CorpusError(
            f"the dev split holds {counts['dev'][BONA_FIDE]:,} bona fide and {counts['dev'][SPOOF]:,} spoof clips: with "
            f"{fewest} of a class no error rate, threshold or calibration can be told; give it at least "
            f"{FEWEST_DEV_CLIPS} of each, better hundreds"
        )
    keras.utils.set_random_seed(params.seed)
    if params.deterministic:
        tf.config.experimental.enable_op_determinism()


def _fitted(
    store: FeatureStore,
    params: TrainParams,
    report: Path,
    checkpoint: Checkpoint,
    progressed: Progressed,
    notified: Callable[[str], None],
) -> tuple[keras.Model, Epoch, int]:
    """The network with the weights that are kept, the epoch that they are of, and the number of epochs."""
    network, train_logits = compiled_network(store, params)
    # Mixed precision is for speed in training; the network that is scored and kept computes in float32.
    scored = build_network(network.input_shape[1], store.statistics, params)
    average = AverageWeights(network, params)
    evaluation = EvaluateEpochs(train_logits, scored, average, store, params.batch_size, notified)
    kept = KeepWeights(evaluation, params)
    saving = SaveCheckpoint(checkpoint, evaluation, average, kept)
    saving.restore(network, params, notified)
    report.mkdir(parents=True, exist_ok=True)
    with Live(str(report), dvcyaml=None, report=None, save_dvc_exp=False) as live:
        logging = LogEpochs(live, evaluation, params)
        callbacks = [average, evaluation, kept, logging, ReportProgress(progressed, evaluation), saving]
        done = len(evaluation.epochs)
        if kept.finished:
            logging.on_train_begin()
        else:
            epochs, steps = params.steps // params.steps_per_epoch, params.steps_per_epoch
            with store_errors():
                network.fit(
                    training_batches(store, params, done * steps),
                    initial_epoch=done,
                    epochs=epochs,
                    steps_per_epoch=steps,
                    verbose=0,
                    callbacks=StepsWithoutLogs(callbacks, add_history=True, model=network, epochs=epochs, steps=steps),
                )
        best = {f"dev_{name}": value for name, value in kept.epoch.dev.as_dict().items()}
        live.summary["kept"] = {"epoch": kept.epoch.number, **best}
    scored.set_weights(kept.weights)
    return scored, kept.epoch, len(evaluation.epochs)


def compiled_network(store: FeatureStore, params: TrainParams) -> tuple[keras.Model, EpochLogits]:
    """A network that is ready for `fit`, on the devices and in the precision of the parameters.

    Args:
        store: Its statistics normalise the network's input.
        params: Network and training.

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
        train_logits = EpochLogits(params.steps_per_epoch * params.batch_size, len(devices))
        network.compile(
            optimizer=make_optimizer(params, len(devices)),
            loss=make_loss(params),
            metrics=[train_logits],
            steps_per_execution=params.steps_per_execution,
            jit_compile=params.jit_compile,
        )
    return network, train_logits


def calibrated_bundle(
    network: keras.Model, store: FeatureStore, params: TrainParams, epoch: int, held_out: HeldOutTrials | None = None
) -> Bundle:
    """The bundle of a trained network, with calibration and threshold from dev and held-out attacks, and its domain."""
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
        domain=fit_domain(store, scorer, params.batch_size),
        train=params,
        epoch=epoch,
        store_fingerprint=store.config_fingerprint,
    )
