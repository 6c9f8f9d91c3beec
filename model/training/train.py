"""Training: fits the network on train, chooses the epoch, the threshold and the calibration on dev, writes the bundle.

Two runs on one machine give bit-identical files: seeds are fixed, TensorFlow runs its deterministic kernels, and nothing
written tells the time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from dvclive import Live

from model.artifacts import NETWORK_PICTURE
from model.bundle import Bundle, save_bundle
from model.dataset import count_classes, crop_frames, scoring_batches, steps_per_epoch, training_batches
from model.errors import ModelError
from model.metrics import auc, classify, det_curve, dev_threshold, fit_calibration
from model.metrics.rates import eer_of_curve
from model.networks.cnn import build_network
from model.params import TrainParams
from model.scoring.scorer import ClipScorer, labelled_scores, split_trials
from model.training.devices import _HALF_PRECISION, precision_policy, replica_devices
from model.training.network_plot import draw_network
from pipeline.errors import ParamsError
from pipeline.store import FeatureStore

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """How well one epoch did on one split.

    Attributes:
        loss: Mean binary cross-entropy, in nats.
        accuracy: Share of logits on the right side of 0.
        auc: Area under the ROC curve.
        eer: Equal error rate, in [0, 1].
    """

    loss: float
    accuracy: float
    auc: float
    eer: float

    @classmethod
    def of(cls, logits: FloatArray, labels: FloatArray) -> "Figures":
        """The figures of some logits.

        Args:
            logits: float64 [n].
            labels: float64 [n], 1 = bona fide, 0 = spoof; both occur.

        Raises:
            ModelError: A logit is not finite.
        """
        if not np.isfinite(logits).all():
            raise ModelError(
                "the training diverged: the network gives NaN or infinity; try a lower train.learning_rate"
            )
        bonafide, spoof = logits[labels == 1], logits[labels == 0]
        return cls(
            loss=float(np.mean(np.logaddexp(0, logits) - labels * logits)),
            accuracy=classify(bonafide, spoof, 0.0).accuracy,
            auc=auc(bonafide, spoof),
            # Early epochs may well be worse than chance: no warning yet.
            eer=eer_of_curve(det_curve(bonafide, spoof)).value,
        )

    def as_dict(self) -> dict[str, float]:
        """By name."""
        return {"loss": self.loss, "accuracy": self.accuracy, "auc": self.auc, "eer": self.eer}


@dataclass(frozen=True)
class Epoch:
    """One epoch's outcome.

    Attributes:
        number: From 1.
        train: On the crops it was trained with, during training.
        dev: On the whole clips of dev.
    """

    number: int
    train: Figures
    dev: Figures

    @property
    def rank(self) -> tuple[float, float]:
        """What the best epoch has least of: the EER on dev, then the loss."""
        return (self.dev.eer, self.dev.loss)


@dataclass(frozen=True)
class Outcome:
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


class Progressed(Protocol):
    """Told after every step."""

    def __call__(self, steps: int, total_steps: int, epoch: int, best: Epoch | None) -> None:
        """Takes the steps done, the most there can be, the running epoch from 1, and the best epoch so far."""


def train(
    store: FeatureStore,
    params: TrainParams,
    output: Path,
    report: Path,
    progressed: Progressed = lambda steps, total_steps, epoch, best: None,
) -> Outcome:
    """Trains a network and writes its bundle.

    Args:
        store: The feature store, with both classes in train and dev.
        params: Network and training.
        output: Folder of the bundle.
        report: Folder for the curves (dvclive) and the picture of the network.
        progressed: Told after every step.

    Raises:
        CorpusError: Train or dev lacks a class.
        ParamsError: The devices or the batch size do not fit the machine.
        ModelError: The training diverged.

    Warns:
        InvertedLabelsWarning: The EER on dev is above 50 %.
    """
    for split in ("train", "dev"):
        count_classes(store, split)
    devices = replica_devices(params.devices)
    if params.batch_size % len(devices):
        raise ParamsError(
            f"train.batch_size: {params.batch_size}: must be a multiple of the {len(devices)} devices it is split among"
        )
    keras.utils.set_random_seed(params.seed)
    tf.config.experimental.enable_op_determinism()
    n_frames = crop_frames(params.crop_s, store.features)
    trainer = _Trainer(store, params, n_frames, devices)
    report.mkdir(parents=True, exist_ok=True)
    best: Epoch | None = None
    best_weights: list[npt.NDArray[np.float32]] = []
    last_gain = 0

    def stepped(steps: int, epoch: int) -> None:
        progressed(steps, trainer.total_steps, epoch, best)

    with Live(str(report), dvcyaml=None, report=None, save_dvc_exp=False) as live:
        for epoch in trainer.epochs(stepped):
            live.step = epoch.number
            for split, figures in (("train", epoch.train), ("dev", epoch.dev)):
                for name, value in figures.as_dict().items():
                    live.log_metric(f"{split}/{name}", value)
            if best is None or epoch.dev.eer < best.dev.eer:
                last_gain = epoch.number
            if best is None or epoch.rank < best.rank:
                best, best_weights = epoch, trainer.network.get_weights()
            if epoch.number - last_gain >= params.patience:
                break
        assert best is not None  # there is at least one epoch
        live.summary["best"] = {"epoch": best.number, **{f"dev_{k}": v for k, v in best.dev.as_dict().items()}}

    # Half precision is for speed in training; what is kept computes in float32 everywhere.
    network = build_network(n_frames, store.statistics, params)
    network.set_weights(best_weights)
    logits = ClipScorer(network).logits(scoring_batches(store, "dev", n_frames, params.batch_size))
    table = labelled_scores(split_trials(store, "dev"), logits, "dev")
    calibration = fit_calibration(table.bonafide, table.spoof)
    table = table.with_scores(calibration.apply(table.scores))
    threshold = dev_threshold(table)
    bundle = Bundle(
        network=network,
        features=store.features,
        calibration=calibration,
        threshold=threshold,
        development=table,
        train=params,
        epoch=best.number,
        store_fingerprint=store.config_fingerprint,
    )
    save_bundle(bundle, output)
    return Outcome(best, epoch.number, threshold, draw_network(network, report / NETWORK_PICTURE))


class _Trainer:
    """Runs epochs; which is best is not its business.

    Attributes:
        network: In training.
        total_steps: The most there can be.
    """

    def __init__(self, store: FeatureStore, params: TrainParams, n_frames: int, devices: list[str]) -> None:
        self._params = params
        self._store = store
        self._strategy = tf.distribute.MirroredStrategy(devices) if len(devices) > 1 else tf.distribute.get_strategy()
        policy = precision_policy(params.mixed_precision)
        with self._strategy.scope():
            self.network = build_network(n_frames, store.statistics, params, policy)
            self._optimizer: keras.optimizers.Optimizer = keras.optimizers.Adam(params.learning_rate)
            if policy == _HALF_PRECISION:
                self._optimizer = keras.mixed_precision.LossScaleOptimizer(self._optimizer)
            self._optimizer.build(self.network.trainable_variables)
        self._scorer = ClipScorer(self.network)
        self._n_frames = n_frames
        trials = split_trials(store, "dev")
        self._labels = {row["utterance_id"]: row["label"] for row in trials if row["label"] is not None}
        self._steps = steps_per_epoch(store, params.batch_size)
        self.total_steps = self._steps * params.epochs
        self._step = tf.function(self._distributed_step)

    def epochs(self, stepped: Callable[[int, int], None]) -> Iterator[Epoch]:
        """Trains epoch after epoch; `stepped` is told the steps done and the number of the epoch."""
        batches = iter(self._strategy.experimental_distribute_dataset(training_batches(self._store, self._params)))
        for number in range(1, self._params.epochs + 1):
            seen = []
            for step in range(self._steps):
                seen.append([values.numpy() for values in self._step(next(batches))])
                stepped((number - 1) * self._steps + step + 1, number)
            logits, labels = (np.concatenate(column).astype(np.float64) for column in zip(*seen, strict=True))
            yield Epoch(number, Figures.of(logits, labels), self._on_dev())

    def _on_dev(self) -> Figures:
        batches = scoring_batches(self._store, "dev", self._n_frames, self._params.batch_size)
        scores = self._scorer.logits(batches)
        labels = np.array(list(self._labels.values()), dtype=np.float64)
        return Figures.of(np.array([scores[name] for name in self._labels]), labels)

    def _distributed_step(self, batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
        per_replica = self._strategy.run(self._replica_step, args=(batch,))
        logits, labels = (
            tf.concat(self._strategy.experimental_local_results(values), axis=0) for values in per_replica
        )
        return logits, labels

    def _replica_step(self, batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        features, labels, weights = batch
        variables = self.network.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.network(features, training=True)[:, 0]
            losses = weights * tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
            # Gradients are summed over replicas: each counts by its share of the whole batch.
            loss = self._optimizer.scale_loss(tf.reduce_sum(losses) / self._params.batch_size)
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        return logits, labels
