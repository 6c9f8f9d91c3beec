"""The front end `cqt` as a Keras layer, for models that take a waveform."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from model.export.front_end_layer import FrontEndLayer, centred_spectra, squared_magnitude
from pipeline.frontends.cqt import CqtParams
from pipeline.frontends.spectra import Bands


@keras.saving.register_keras_serializable(package="bonafide")
class CqtLayer(FrontEndLayer):
    """Waveforms to constant-Q spectra, as `pipeline.frontends.cqt.Cqt` makes them, with the same filters."""

    params_type = CqtParams

    def __init__(self, params: CqtParams | dict[str, Any], **options: Any) -> None:
        super().__init__(params, **options)
        self._groups = [(n_fft, _matrix(bands, n_fft)) for n_fft, _, bands in self._front_end.groups]

    def values(self, waveform: tf.Tensor) -> tf.Tensor:
        """The power of the filters in dB, the lowest bins first."""
        filtered = [
            tf.matmul(centred_spectra(waveform, 1.0, n_fft, self.params.hop_length), matrix)
            for n_fft, matrix in self._groups
        ]
        return self.decibels(squared_magnitude(tf.concat(filtered, axis=-1)))


def _matrix(bands: Bands, n_fft: int) -> np.ndarray:
    """The weights as complex128 [1 + n_fft // 2, filters]."""
    matrix = np.zeros((1 + n_fft // 2, len(bands.first_bins)), np.complex128)
    for number, (first, start, end) in enumerate(
        zip(bands.first_bins, bands.offsets[:-1], bands.offsets[1:], strict=True)
    ):
        matrix[first : first + end - start, number] = bands.weights[start:end]
    return matrix
