"""The front end `log_mel` as a Keras layer, for models that take a waveform."""

from typing import Any

import keras
import tensorflow as tf

from model.export.spectrum_layer import SpectrumLayer
from pipeline.frontends.log_mel import LogMelParams, mel_filterbank


@keras.saving.register_keras_serializable(package="bonafide")
class LogMelLayer(SpectrumLayer):
    """Waveforms to log-Mel spectrograms, as `pipeline.frontends.log_mel.LogMel` makes them."""

    params_type = LogMelParams

    def __init__(self, params: LogMelParams | dict[str, Any], **options: Any) -> None:
        super().__init__(params, **options)
        self._filters = mel_filterbank(self.params).astype("float64").T

    def bin_powers(self, powers: tf.Tensor) -> tf.Tensor:
        """Sums over the triangles."""
        return tf.matmul(powers, self._filters)
