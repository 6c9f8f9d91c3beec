"""A moving average of the network's weights, kept on the device."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.params import TrainParams

Weights = list[npt.NDArray[np.float32]]


class AverageWeights(keras.callbacks.Callback):
    """Averages the weights over the second half of the steps, the statistics of the batch normalisation among them.

    An exponential moving average of the weights generalises better than the last step of a noisy descent (Polyak and Juditsky,
    1992; Izmailov et al., "Averaging Weights Leads to Wider Optima", UAI 2018). Keras' `use_ema` covers the trainable weights
    alone, and all of the steps.

    Args:
        network: In training.
        params: `weight_average` is the decay of a step, 0 for no average.
    """

    def __init__(self, network: keras.Model, params: TrainParams) -> None:
        super().__init__()
        self._network = network
        self._decay = params.weight_average
        self._params = params
        self._done = 0
        self._averages = [tf.Variable(weight) for weight in network.get_weights()]

        @tf.function
        def update(decay: tf.Tensor) -> None:
            for average, weight in zip(self._averages, network.weights, strict=True):
                average.assign(decay * average + (1.0 - decay) * tf.convert_to_tensor(weight))

        self._update = update

    @property
    def weights(self) -> Weights:
        """The average, as `keras.Model.get_weights` gives weights; before it begins, those of the network."""
        return [average.numpy() for average in self._averages] if self._running else self._network.get_weights()

    def restore(self, weights: Sequence[npt.NDArray[np.float32]], done: int) -> None:
        """Goes on with what `weights` gave after `done` steps."""
        self._done = done
        for average, weight in zip(self._averages, weights, strict=True):
            average.assign(weight)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        started = self._running
        self._done += self._params.steps_per_execution
        if self._running:
            # The first of the average is taken as it is.
            decay = self._decay**self._params.steps_per_execution if started else 0.0
            self._update(tf.constant(decay, tf.float32))

    @property
    def _running(self) -> bool:
        return bool(self._decay) and self._done > self._params.steps // 2
