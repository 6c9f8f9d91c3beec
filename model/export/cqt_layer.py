"""The front end `cqt` as a Keras layer, for models that take a waveform."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.export.front_end_layer import FrontEndLayer, centred_frames, kernel_powers, real_spectra, run_sums
from pipeline.frontends.cqt import CqtParams
from pipeline.frontends.spectra import Bands


@keras.saving.register_keras_serializable(package="bonafide")
class CqtLayer(FrontEndLayer):
    """Waveforms to constant-Q spectra, as `pipeline.frontends.cqt.Cqt` makes them, with the same filters."""

    params_type = CqtParams

    def __init__(self, params: CqtParams | dict[str, Any], *args: Any, **options: Any) -> None:
        super().__init__(params, *args, **options)
        self._groups = [(n_fft, bands) for n_fft, _, bands in self._front_end.groups]

    def values(self, waveform: tf.Tensor) -> tf.Tensor:
        """The power of the filters in dB, the lowest bins first."""
        powers = [
            self._powers(centred_frames(waveform, n_fft, self.params.hop_length), n_fft, bands)
            for n_fft, bands in self._groups
        ]
        return self.decibels(tf.concat(powers, axis=-1))

    def _powers(self, frames: tf.Tensor, n_fft: int, bands: Bands) -> tf.Tensor:
        if self.arithmetic == "matrix":
            return kernel_powers(frames, _kernels(bands, n_fft))
        real, imaginary = real_spectra(frames)
        parts = bands.weights.real, bands.weights.imag
        return tf.square(run_sums(real, bands, parts[0]) - run_sums(imaginary, bands, parts[1])) + tf.square(
            run_sums(real, bands, parts[1]) + run_sums(imaginary, bands, parts[0])
        )


def _kernels(bands: Bands, n_fft: int) -> npt.NDArray[np.complex128]:
    """The filters as they multiply the samples of a frame, complex128 [n_fft, filters]."""
    weights = np.zeros((n_fft, len(bands.first_bins)), np.complex128)
    for number, (first, start, end) in enumerate(
        zip(bands.first_bins, bands.offsets[:-1], bands.offsets[1:], strict=True)
    ):
        weights[first : first + end - start, number] = bands.weights[start:end]
    # Σ_k W[k] Σ_n x[n] exp(-2πi n k / N) = Σ_n x[n] FFT(W)[n].
    kernels: npt.NDArray[np.complex128] = np.fft.fft(weights, axis=0)
    return kernels
