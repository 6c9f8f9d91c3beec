"""The front end `log_mel` as a Keras layer, for models that take a waveform."""

from typing import Any

import keras
import tensorflow as tf

from model.export.front_end_layer import run_sums
from model.export.spectrum_layer import SpectrumLayer
from pipeline.frontends.log_mel import LogMelParams, mel_filterbank
from pipeline.frontends.triangles import nonzero_runs


@keras.saving.register_keras_serializable(package="bonafide")
class LogMelLayer(SpectrumLayer):
    """Waveforms to log-Mel spectrograms, as `pipeline.frontends.log_mel.LogMel` makes them."""

    params_type = LogMelParams

    def __init__(self, params: LogMelParams | dict[str, Any], *args: Any, **options: Any) -> None:
        super().__init__(params, *args, **options)
        self._bands = nonzero_runs(mel_filterbank(self.params))

    def bin_powers(self, powers: tf.Tensor) -> tf.Tensor:
        """Sums over the triangles."""
        return run_sums(powers, self._bands, self._bands.weights)
