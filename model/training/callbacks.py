"""Keras callbacks of training: metrics on dev, the best weights, curves by DVCLive, progress.

`EvaluateEpochs` comes first in the list: it holds the epochs that the others read, and adds their metrics to Keras' logs.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
from dvclive import Live

from model.dataset import CachedWindows
from model.scoring.scorer import ClipScorer, split_trials
from model.training.epoch_metrics import Epoch, EpochLogits, EpochMetrics
from pipeline.store import FeatureStore


class Progressed(Protocol):
    """Called after every step."""

    def __call__(self, steps: int, total_steps: int, epoch: int, best: Epoch | None) -> None:
        """Takes the steps done, the most there can be, the running epoch from 1, and the best epoch so far."""


class EvaluateEpochs(keras.callbacks.Callback):
    """Computes the metrics of train and dev after each epoch and adds them to the logs, as `dev_eer` for one.

    Args:
        train_logits: The metric that the network was compiled with.
        store: With labels in dev.
        batch_size: Windows scored at once.

    Attributes:
        epochs: The epochs so far.
    """

    def __init__(self, train_logits: EpochLogits, store: FeatureStore, batch_size: int) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []
        self._train_logits = train_logits
        self._store = store
        self._batch_size = batch_size
        trials = split_trials(store, "dev")
        self._labels = {row["utterance_id"]: row["label"] for row in trials if row["label"] is not None}

    @property
    def best(self) -> Epoch | None:
        """The epoch of the lowest rank; the first of equals."""
        return min(self.epochs, key=lambda epoch: epoch.rank, default=None)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._scorer = ClipScorer(self.model)
        self._windows = CachedWindows(self._store, "dev", self._scorer.n_frames, self._batch_size)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        measured = Epoch(epoch + 1, self._train_logits.metrics(), self._on_dev())
        self.epochs.append(measured)
        # Keras hands the same dictionary to the callbacks that follow.
        for split, metrics in (("train", measured.train), ("dev", measured.dev)):
            logs.update({f"{split}_{name}": value for name, value in metrics.as_dict().items()})

    def _on_dev(self) -> EpochMetrics:
        scores = self._scorer.logits(self._windows)
        labels = np.array(list(self._labels.values()), dtype=np.float64)
        return EpochMetrics.of(np.array([scores[name] for name in self._labels]), labels)


class KeepBestWeights(keras.callbacks.Callback):
    """Keeps a copy of the weights of the best epoch.

    Attributes:
        weights: As `keras.Model.get_weights` gives them; empty before the end of the first epoch.
    """

    def __init__(self, evaluation: EvaluateEpochs) -> None:
        super().__init__()
        self.weights: list[npt.NDArray[np.float32]] = []
        self._evaluation = evaluation

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._evaluation.best is self._evaluation.epochs[-1]:
            self.weights = self.model.get_weights()


class LogEpochs(keras.callbacks.Callback):
    """Logs the metrics of each epoch to DVCLive, as `train/loss` and `dev/loss` for two."""

    def __init__(self, live: Live, evaluation: EvaluateEpochs) -> None:
        super().__init__()
        self._live = live
        self._evaluation = evaluation

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        measured = self._evaluation.epochs[-1]
        self._live.step = measured.number
        for split, metrics in (("train", measured.train), ("dev", measured.dev)):
            for name, value in metrics.as_dict().items():
                self._live.log_metric(f"{split}/{name}", value)


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
        self._progressed(self._epoch * steps + batch + 1, epochs * steps, self._epoch + 1, self._evaluation.best)


class StepsWithoutLogs(keras.callbacks.CallbackList):
    """A list of callbacks that gives them no logs after a step.

    Keras' own list copies the loss from the device to the host after every step, whether a callback reads it or not.
    """

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        super().on_train_batch_end(batch)
