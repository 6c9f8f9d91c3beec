"""What the Keras layers of the front ends in `pipeline.frontends.spectra` share: framing, window and power spectrum.

Window and weights are the pipeline's own, so that layer and pipeline agree within 0.01 dB; tests compare them.
"""

from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from model.export.front_end_layer import FrontEndLayer, centred_frames, kernel_powers, real_spectra
from pipeline.frontends.spectra import SpectrumParams, padded_window


class SpectrumLayer(FrontEndLayer):
    """Waveforms to short-time spectra in dB. A subclass says what its bins are."""

    params_type: ClassVar[type[SpectrumParams]]

    def __init__(self, params: SpectrumParams | dict[str, Any], *args: Any, **options: Any) -> None:
        super().__init__(params, *args, **options)
        self._window = padded_window(self.params)

    def bin_powers(self, powers: tf.Tensor) -> tf.Tensor:
        """Power of the FFT bins, [..., 1 + n_fft // 2], to power of the front end's bins, [..., n_bins]."""
        raise NotImplementedError

    def values(self, waveform: tf.Tensor) -> tf.Tensor:
        """The power of the bins in dB."""
        n_fft = self.params.n_fft
        frames = centred_frames(waveform, n_fft, self.params.hop_length)
        if self.arithmetic == "matrix":
            transform = np.fft.rfft(np.eye(n_fft))
            powers = kernel_powers(frames, self._window[:, np.newaxis] * transform)
        else:
            real, imaginary = real_spectra(frames * tf.constant(self._window, frames.dtype))
            powers = tf.square(real) + tf.square(imaginary)
        return self.decibels(self.bin_powers(powers))
