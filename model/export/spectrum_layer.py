"""What the Keras layers of the front ends in `pipeline.frontends.spectra` share: framing, window and power spectrum.

Window and weights are the pipeline's own, so that layer and pipeline agree within 0.01 dB; tests compare them.
"""

from typing import Any, ClassVar

import tensorflow as tf

from model.export.front_end_layer import FrontEndLayer, centred_spectra, squared_magnitude
from pipeline.frontends.spectra import SpectrumParams, padded_window


class SpectrumLayer(FrontEndLayer):
    """Waveforms to short-time spectra in dB. A subclass says what its bins are."""

    params_type: ClassVar[type[SpectrumParams]]

    def __init__(self, params: SpectrumParams | dict[str, Any], **options: Any) -> None:
        super().__init__(params, **options)
        self._window = padded_window(self.params)

    def bin_powers(self, powers: tf.Tensor) -> tf.Tensor:
        """Power of the FFT bins, float64 [..., 1 + n_fft // 2], to power of the front end's bins, float64 [..., n_bins]."""
        raise NotImplementedError

    def values(self, waveform: tf.Tensor) -> tf.Tensor:
        """The power of the bins in dB."""
        spectra = centred_spectra(waveform, self._window, self.params.n_fft, self.params.hop_length)
        return self.decibels(self.bin_powers(squared_magnitude(spectra)))
