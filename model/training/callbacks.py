"""Keras callbacks of training: metrics on dev, the weights to keep, curves by DVCLive, checkpoints, progress.

`EvaluateEpochs` comes first in the list: it holds the epochs that the others read, and adds their metrics to Keras' logs.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
from dvclive import Live

from model.dataset import CachedWindows
from model.params import TrainParams
from model.scoring.scorer import ClipScorer, split_trials
from model.training.averaging import AverageWeights
from model.training.checkpoint import Checkpoint, TrainingState, restore_variables, variables_of
from model.training.epoch_metrics import Epoch, EpochLogits, EpochMetrics
from model.training.optimizer import make_schedule
from pipeline.store import FeatureStore


class Progressed(Protocol):
    """Called after every step."""

    def __call__(self, steps: int, total_steps: int, latest: Epoch | None) -> None:
        """Takes the steps done, the most there can be, and the last epoch that is done."""


class EvaluateEpochs(keras.callbacks.Callback):
    """Computes the metrics of train and dev after each epoch and adds them to the logs, as `dev_eer` for one.

    Args:
        train_logits: The metric that the network was compiled with.
        scored: A network of the same weights in float32. It takes the weights of each epoch, and dev is scored with it.
        average: What those weights are.
        store: With labels in dev.
        batch_size: Windows scored at once.
        notified: Told when the network begins to give one value for every clip of dev.

    Attributes:
        epochs: The epochs so far.
        scored: The network of the last epoch.
    """

    def __init__(
        self,
        train_logits: EpochLogits,
        scored: keras.Model,
        average: AverageWeights,
        store: FeatureStore,
        batch_size: int,
        notified: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []
        self._notified = notified
        self.scored = scored
        self._train_logits = train_logits
        self._average = average
        self._scorer = ClipScorer(scored)
        self._windows = CachedWindows(store, "dev", self._scorer.n_frames, batch_size)
        trials = split_trials(store, "dev")
        self._labels = {row["utterance_id"]: row["label"] for row in trials if row["label"] is not None}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        self.scored.set_weights(self._average.weights)
        measured = Epoch(epoch + 1, self._train_logits.metrics(), self._on_dev())
        if measured.dev.is_constant and not (self.epochs and self.epochs[-1].dev.is_constant):
            self._notified(
                f"Epoch {measured.number}: the network gives one value for every clip of dev, which is an EER of 50 %. "
                "If it stays so, lower train.learning_rate"
            )
        self.epochs.append(measured)
        # Keras hands the same dictionary to the callbacks that follow.
        for split, metrics in (("train", measured.train), ("dev", measured.dev)):
            logs.update({f"{split}_{name}": value for name, value in metrics.as_dict().items()})

    def _on_dev(self) -> EpochMetrics:
        scores = self._scorer.logits(self._windows)
        labels = np.array(list(self._labels.values()), dtype=np.float64)
        return EpochMetrics.of(np.array([scores[name] for name in self._labels]), labels)


class KeepWeights(keras.callbacks.Callback):
    """Keeps a copy of the weights of one epoch, and ends the training where `train.patience` asks for it.

    Attributes:
        weights: As `keras.Model.get_weights` gives them; empty before the end of the first epoch.
    """

    def __init__(self, evaluation: EvaluateEpochs, params: TrainParams) -> None:
        super().__init__()
        self.weights: list[npt.NDArray[np.float32]] = []
        self._evaluation = evaluation
        self._params = params

    @property
    def epoch(self) -> Epoch:
        """The last epoch, or the one of the lowest rank, the first of equals; there is one."""
        epochs = self._evaluation.epochs
        return epochs[-1] if self._params.keep == "last" else min(epochs, key=lambda epoch: epoch.rank)

    @property
    def finished(self) -> bool:
        """Whether no epoch is to follow."""
        epochs, params = self._evaluation.epochs, self._params
        if len(epochs) * params.steps_per_epoch >= params.steps:
            return True
        if params.patience is None or not epochs:
            return False
        return epochs[-1].number - min(epochs, key=lambda epoch: epoch.dev.eer).number >= params.patience

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.epoch is self._evaluation.epochs[-1]:
            self.weights = self._evaluation.scored.get_weights()
        if self.finished:
            self.model.stop_training = True


class LogEpochs(keras.callbacks.Callback):
    """Logs each epoch to DVCLive: its metrics, as `train/loss` and `dev/loss` for two, and the learning rate of its last step."""

    def __init__(self, live: Live, evaluation: EvaluateEpochs, params: TrainParams) -> None:
        super().__init__()
        self._live = live
        self._evaluation = evaluation
        self._params = params
        self._schedule = make_schedule(params)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        for measured in self._evaluation.epochs:
            self._log(measured)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._log(self._evaluation.epochs[-1])

    def _log(self, measured: Epoch) -> None:
        self._live.step = measured.number
        for split, metrics in (("train", measured.train), ("dev", measured.dev)):
            for name, value in metrics.as_dict().items():
                self._live.log_metric(f"{split}/{name}", value)
        last_step = measured.number * self._params.steps_per_epoch - 1
        self._live.log_metric("learning_rate", float(self._schedule(last_step)))


class SaveCheckpoint(keras.callbacks.Callback):
    """Writes a checkpoint after each epoch, and restores one. It comes last in the list."""

    def __init__(
        self, checkpoint: Checkpoint, evaluation: EvaluateEpochs, average: AverageWeights, kept: KeepWeights
    ) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._evaluation = evaluation
        self._average = average
        self._kept = kept

    def restore(self, network: keras.Model, params: TrainParams, notified: Callable[[str], None]) -> None:
        """Brings the network and the other callbacks to where an interrupted training was, if there was one.

        Args:
            network: Compiled.
            params: Of the training.
            notified: Takes a sentence about a checkpoint that is used or discarded.
        """
        state = self._checkpoint.load(notified)
        if state is None:
            return
        done = len(state.epochs) * params.steps_per_epoch
        restore_variables(network, state)
        self._evaluation.epochs = state.epochs
        self._average.restore(state.average, done)
        self._kept.weights = state.kept
        notified(f"Resuming at step {done:,} of {params.steps:,}.")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        network, optimizer = variables_of(self.model)
        average, kept = self._average.weights, self._kept.weights
        self._checkpoint.save(TrainingState(self._evaluation.epochs, network, optimizer, average, kept))


class ReportProgress(keras.callbacks.Callback):
    """Calls a function after every step."""

    def __init__(self, progressed: Progressed, evaluation: EvaluateEpochs) -> None:
        super().__init__()
        self._progressed = progressed
        self._evaluation = evaluation
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        steps, epochs = self.params["steps"], self.params["epochs"]
        latest = self._evaluation.epochs[-1] if self._evaluation.epochs else None
        self._progressed(self._epoch * steps + batch + 1, epochs * steps, latest)


class StepsWithoutLogs(keras.callbacks.CallbackList):
    """A list of callbacks that gives them no logs after a step.

    Keras' own list copies the loss from the device to the host after every step, whether a callback reads it or not.
    """

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        super().on_train_batch_end(batch)
