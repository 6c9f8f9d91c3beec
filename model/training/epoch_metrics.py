"""Loss, accuracy, AUC and EER of one epoch, and the Keras metric that keeps an epoch's logits for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.errors import ModelError
from model.metrics.classification import auc_of_curve, classify_curve
from model.metrics.rates import curve_of_checked, eer_of_curve

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EpochMetrics:
    """Metrics of one epoch on one split.

    Attributes:
        loss: Mean binary cross-entropy, in nats, unweighted, whatever `train.loss` is.
        accuracy: Share of logits on the right side of 0.
        auc: Area under the ROC curve.
        eer: Equal error rate, in [0, 1].
        is_constant: Whether all logits are equal; the EER and the AUC are 0.5 then.
    """

    loss: float
    accuracy: float
    auc: float
    eer: float
    is_constant: bool = False

    @classmethod
    def of(cls, logits: FloatArray, labels: FloatArray) -> "EpochMetrics":
        """The metrics of some logits.

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
        # Not the functions that take scores: they refuse equal ones, and warn of labels that an early epoch seems to invert.
        curve = curve_of_checked(logits[labels == 1], logits[labels == 0])
        return cls(
            loss=float(np.mean(np.logaddexp(0, logits) - labels * logits)),
            accuracy=classify_curve(curve, 0.0).accuracy,
            auc=auc_of_curve(curve),
            eer=eer_of_curve(curve).value,
            is_constant=len(curve.scores) == 1,
        )

    def as_dict(self) -> dict[str, float]:
        """The metrics by name."""
        return {"loss": self.loss, "accuracy": self.accuracy, "auc": self.auc, "eer": self.eer}


@dataclass(frozen=True)
class Epoch:
    """The metrics of one epoch.

    Attributes:
        number: From 1.
        train: On the crops it was trained with, during training.
        dev: On the whole clips of dev, by the averaged weights where there are any.
    """

    number: int
    train: EpochMetrics
    dev: EpochMetrics

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Epoch":
        """The epoch that `dataclasses.asdict` made these values of."""
        return cls(values["number"], EpochMetrics(**values["train"]), EpochMetrics(**values["dev"]))

    @property
    def rank(self) -> tuple[float, float]:
        """The best epoch has the lowest: the EER on dev, then the loss on dev."""
        return (self.dev.eer, self.dev.loss)


class EpochLogits(keras.metrics.Metric):
    """Keeps the logits and labels of an epoch on the device, for exact metrics after one copy at its end.

    Keras' own AUC counts at fixed thresholds of the probability, which are too coarse once most logits are large.

    Args:
        n_examples: Of an epoch.
        n_replicas: Devices that share each batch; they divide `n_examples`.
    """

    def __init__(self, n_examples: int, n_replicas: int) -> None:
        super().__init__(name="epoch_logits")
        # One row per replica. Keras adds the replicas' variables up, so each leaves the rows of the others at zero.
        shape = (n_replicas, n_examples // n_replicas)
        self._logits = self.add_variable(shape, "zeros", name="logits")
        self._labels = self.add_variable(shape, "zeros", name="labels")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        context = tf.distribute.get_replica_context()
        # Keras first calls it outside of all replicas, to find out the shapes.
        replica = context.replica_id_in_sync_group if context else 0
        row = tf.one_hot(replica, self._logits.shape[0])[:, tf.newaxis]
        for variable, values in ((self._logits, y_pred), (self._labels, y_true)):
            batch = row * tf.reshape(tf.cast(values, tf.float32), (1, -1))
            # The newest at the end. A scatter would be copied to the host on GPUs that run deterministic kernels.
            variable.assign(tf.concat([variable[:, tf.shape(batch)[1] :], batch], axis=1))

    def result(self) -> dict[str, Any]:
        """Nothing: Keras asks for it in every step."""
        return {}

    def metrics(self) -> EpochMetrics:
        """The metrics of the last `n_examples` logits.

        Raises:
            ModelError: A logit is not finite.
        """
        logits, labels = (variable.numpy().astype(np.float64).ravel() for variable in (self._logits, self._labels))
        return EpochMetrics.of(logits, labels)
