"""What the Keras layers of the front ends in `pipeline.frontends.spectra` share: framing, window, power spectrum and dB.

Window and weights are the pipeline's own, so that layer and pipeline agree within 0.01 dB; tests compare them.
"""

from typing import Any, ClassVar

import keras
import tensorflow as tf

from pipeline.frontends.spectra import SpectrumParams, n_frames, padded_window


class SpectrumLayer(keras.layers.Layer):
    """Waveforms to spectrograms: float32 [batch, samples] in [-1, 1] to float32 [batch, frames, n_bins] in dB.

    Frame t is centred on sample t × `hop_length`, with zeros beyond the ends. The arithmetic is float64 up to the logarithm,
    as in the pipeline: quiet bins beside loud ones would lose digits in float32. A subclass says which parameters it takes
    and what its bins are.

    Attributes:
        params: The front end.
    """

    params_type: ClassVar[type[SpectrumParams]]

    def __init__(self, params: SpectrumParams | dict[str, Any], **options: Any) -> None:
        super().__init__(**{**options, "dtype": "float32"})
        is_model = isinstance(params, self.params_type)
        self.params = params if is_model else self.params_type.model_validate(params)
        self._window = padded_window(self.params)
        self._floor_power = 10.0 ** (self.params.floor_db / 10.0)

    def bin_powers(self, powers: tf.Tensor) -> tf.Tensor:
        """Power of the FFT bins, float64 [..., 1 + n_fft // 2], to power of the front end's bins, float64 [..., n_bins]."""
        raise NotImplementedError

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        params = self.params
        margin = params.n_fft // 2
        padded = tf.pad(tf.cast(waveform, tf.float64), [[0, 0], [margin, margin]])
        frames = tf.signal.frame(padded, params.n_fft, params.hop_length)
        spectra = tf.signal.rfft(frames * self._window)
        powers = self.bin_powers(tf.square(tf.math.real(spectra)) + tf.square(tf.math.imag(spectra)))
        decibels = (
            10.0 / tf.math.log(tf.constant(10.0, tf.float64)) * tf.math.log(tf.maximum(powers, self._floor_power))
        )
        return tf.cast(decibels, tf.float32)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The number of frames follows from that of samples, which may be open."""
        batch, n_samples = input_shape
        return (batch, None if n_samples is None else n_frames(n_samples, self.params), self.params.n_bins)

    def get_config(self) -> dict[str, Any]:
        """The parameters as JSON values."""
        return {**super().get_config(), "params": self.params.model_dump(mode="json")}
