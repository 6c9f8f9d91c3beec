"""The front end `log_linear` as a Keras layer, for models that take a waveform."""

import keras
import tensorflow as tf

from model.export.spectrum_layer import SpectrumLayer
from pipeline.frontends.log_linear import LogLinearParams


@keras.saving.register_keras_serializable(package="bonafide")
class LogLinearLayer(SpectrumLayer):
    """Waveforms to log-linear spectrograms, as `pipeline.frontends.log_linear.LogLinear` makes them."""

    params_type = LogLinearParams

    def bin_powers(self, powers: tf.Tensor) -> tf.Tensor:
        """The FFT bins of the band."""
        band = self.params.band
        return powers[..., band.start : band.stop]
