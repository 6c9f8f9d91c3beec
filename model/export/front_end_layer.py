"""What the Keras layers of all front ends share: parameters, scaling to a level, and decibels."""

from typing import Any, ClassVar

import keras
import tensorflow as tf

from pipeline.frontends import FrontEndParams, make_front_end
from pipeline.frontends.level import GATE, LARGEST_GAIN, cell_length, target_rms


class FrontEndLayer(keras.layers.Layer):
    """Waveforms to spectrograms: float32 [batch, samples] in [-1, 1] to float32 [batch, frames, n_bins] in dB.

    The arithmetic is float64, as in the pipeline: quiet bins beside loud ones would lose digits in float32. A subclass says
    which parameters it takes and how a scaled waveform becomes values.

    Attributes:
        params: The front end.
    """

    params_type: ClassVar[type[FrontEndParams]]

    def __init__(self, params: FrontEndParams | dict[str, Any], **options: Any) -> None:
        super().__init__(**{**options, "dtype": "float32"})
        is_model = isinstance(params, self.params_type)
        self.params = params if is_model else self.params_type.model_validate(params)
        self._front_end = make_front_end(self.params)
        self._floor_power = 10.0 ** (self.params.floor_db / 10.0)

    def values(self, waveform: tf.Tensor) -> tf.Tensor:
        """Waveforms at their final level, float64 [batch, samples], to float64 [batch, frames, n_bins] in dB."""
        raise NotImplementedError

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        return tf.cast(self.values(scaled_to_level(tf.cast(waveform, tf.float64), self.params)), tf.float32)

    def decibels(self, powers: tf.Tensor) -> tf.Tensor:
        """Powers, float64, in dB, at least `floor_db`."""
        return 10.0 / tf.math.log(tf.constant(10.0, tf.float64)) * tf.math.log(tf.maximum(powers, self._floor_power))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The number of frames follows from that of samples, which may be open."""
        batch, n_samples = input_shape
        return (batch, None if n_samples is None else self._front_end.n_frames(n_samples), self.params.n_bins)

    def get_config(self) -> dict[str, Any]:
        """The parameters as JSON values."""
        return {**super().get_config(), "params": self.params.model_dump(mode="json")}


def centred_spectra(waveform: tf.Tensor, window: Any, n_fft: int, hop_length: int) -> tf.Tensor:
    """FFTs of frames that are centred on every `hop_length`-th sample, with zeros beyond the ends.

    Args:
        waveform: float64 [batch, samples].
        window: float64 [n_fft], or 1.0.
        n_fft: FFT length in samples.
        hop_length: Samples from frame to frame.

    Returns:
        complex128 [batch, frames, 1 + n_fft // 2].
    """
    margin = n_fft // 2
    padded = tf.pad(waveform, [[0, 0], [margin, margin]])
    return tf.signal.rfft(tf.signal.frame(padded, n_fft, hop_length) * window)


def squared_magnitude(values: tf.Tensor) -> tf.Tensor:
    """|values|², without a square root in between."""
    return tf.square(tf.math.real(values)) + tf.square(tf.math.imag(values))


def scaled_to_level(waveform: tf.Tensor, params: FrontEndParams) -> tf.Tensor:
    """Multiplies each clip of float64 [batch, samples] by its gain, as `pipeline.frontends.level.level_gain` gives it."""
    if params.level_dbfs is None:
        return waveform
    cell = cell_length(params)
    n_samples = tf.shape(waveform)[1]
    n_cells = (n_samples + cell - 1) // cell
    squares = tf.square(waveform - tf.reduce_mean(waveform, axis=1, keepdims=True))
    padded = tf.pad(squares, [[0, 0], [0, n_cells * cell - n_samples]])
    energies = tf.reduce_sum(tf.reshape(padded, tf.stack([-1, n_cells, cell])), axis=2)
    counts = tf.cast(tf.minimum(cell, n_samples - cell * tf.range(n_cells)), tf.float64)
    threshold = GATE * tf.reduce_mean(squares, axis=1, keepdims=True)
    counted = tf.cast(energies >= threshold * counts, tf.float64)
    power = tf.reduce_sum(counted * energies, axis=1, keepdims=True) / tf.reduce_sum(
        counted * counts, axis=1, keepdims=True
    )
    target = target_rms(params.level_dbfs)
    return waveform * (target / tf.maximum(tf.sqrt(power), target / LARGEST_GAIN))
