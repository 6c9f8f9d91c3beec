"""The front end `lfcc` as a Keras layer, for models that take a waveform."""

from typing import Any

import keras
import tensorflow as tf

from model.export.front_end_layer import run_sums
from model.export.spectrum_layer import SpectrumLayer
from pipeline.frontends.lfcc import DELTA_FRAMES, LfccParams, dct_matrix, linear_filterbank
from pipeline.frontends.triangles import nonzero_runs


@keras.saving.register_keras_serializable(package="bonafide")
class LfccLayer(SpectrumLayer):
    """Waveforms to cepstra, as `pipeline.frontends.lfcc.Lfcc` makes them."""

    params_type = LfccParams

    def __init__(self, params: LfccParams | dict[str, Any], *args: Any, **options: Any) -> None:
        super().__init__(params, *args, **options)
        self._bands = nonzero_runs(linear_filterbank(self.params))
        self._cosines = dct_matrix(self.params.n_filters, self.params.n_coefficients)

    def bin_powers(self, powers: tf.Tensor) -> tf.Tensor:
        """Sums over the filters, whose cepstra the layer gives."""
        return run_sums(powers, self._bands, self._bands.weights)

    def values(self, waveform: tf.Tensor) -> tf.Tensor:
        """Coefficients, then their deltas."""
        levels = super().values(waveform)
        cosines = tf.constant(self._cosines, levels.dtype)
        # Not a matrix product; see model.export.front_end_layer.
        parts = [tf.reduce_sum(tf.expand_dims(levels, -1) * cosines, axis=-2)]
        for _ in range(self.params.deltas):
            parts.append(_deltas(parts[-1]))
        return tf.concat(parts, axis=-1)


def _deltas(values: tf.Tensor) -> tf.Tensor:
    """`pipeline.frontends.lfcc.deltas` over the frames of float64 [batch, frames, n]."""
    last = tf.shape(values)[1] - 1
    numbers = tf.range(last + 1)
    slopes = tf.zeros_like(values)
    for distance in range(1, DELTA_FRAMES + 1):
        later = tf.gather(values, tf.minimum(numbers + distance, last), axis=1)
        slopes += distance * (later - tf.gather(values, tf.maximum(numbers - distance, 0), axis=1))
    return slopes / (2.0 * sum(distance**2 for distance in range(1, DELTA_FRAMES + 1)))
