"""The front end of `pipeline.frontends.log_mel` as a Keras layer, for models that take a waveform.

Window and filters are the pipeline's own, so the two agree within 0.01 dB; a test holds them to it.
"""

from typing import Any

import keras
import tensorflow as tf

from pipeline.frontends.log_mel import mel_filterbank, padded_window
from pipeline.params import FeatureParams


@keras.saving.register_keras_serializable(package="bonafide")
class LogMel(keras.layers.Layer):
    """Waveforms to log-Mel spectrograms: float32 [batch, samples] in [-1, 1] to float32 [batch, frames, n_mels] in dB.

    Frame t is centred on sample t × `hop_length`, with zeros beyond the ends. The arithmetic is float64 up to the power of
    the mel bands, as in the pipeline: quiet bins beside loud ones would lose digits in float32.

    Attributes:
        params: The front end.
    """

    def __init__(self, params: FeatureParams | dict[str, Any], **options: Any) -> None:
        super().__init__(**{**options, "dtype": "float32"})
        self.params = params if isinstance(params, FeatureParams) else FeatureParams.model_validate(params)
        self._window = padded_window(self.params)
        self._filters = mel_filterbank(self.params).astype("float64").T
        self._floor_power = 10.0 ** (self.params.floor_db / 10.0)

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        params = self.params
        margin = params.n_fft // 2
        padded = tf.pad(tf.cast(waveform, tf.float64), [[0, 0], [margin, margin]])
        frames = tf.signal.frame(padded, params.n_fft, params.hop_length)
        spectra = tf.signal.rfft(frames * self._window)
        powers = tf.matmul(tf.square(tf.math.real(spectra)) + tf.square(tf.math.imag(spectra)), self._filters)
        decibels = (
            10.0 / tf.math.log(tf.constant(10.0, tf.float64)) * tf.math.log(tf.maximum(powers, self._floor_power))
        )
        return tf.cast(decibels, tf.float32)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The number of frames follows from that of samples, which may be open."""
        batch, n_samples = input_shape
        params = self.params
        margin = params.n_fft // 2
        n_frames = None if n_samples is None else 1 + (n_samples + 2 * margin - params.n_fft) // params.hop_length
        return (batch, n_frames, params.n_mels)

    def get_config(self) -> dict[str, Any]:
        """The parameters as JSON values."""
        return {**super().get_config(), "params": self.params.model_dump(mode="json")}
