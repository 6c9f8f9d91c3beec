"""Kind `log_linear`: the power of the FFT bins themselves, in dB.

It is librosa's `power_to_db(abs(stft(...)) ** 2)` with an absolute floor, cut to the bins from `f_min` to `f_max`. A short
window, such as 5 ms, resolves the pulses of a voice in time; a long one resolves its harmonics.
"""

from bisect import bisect_left, bisect_right
from typing import ClassVar, Literal

import numpy as np
from pydantic import model_validator

from pipeline.frontends.spectra import Bands, SpectrumFrontEnd, SpectrumParams


class LogLinearParams(SpectrumParams):
    """Parameters of the log-linear front end. The FFT bins from `f_min` to `f_max`, both included, are its bins."""

    kind: Literal["log_linear"]

    @property
    def band(self) -> range:
        """Numbers of the FFT bins from `f_min` to `f_max`."""
        every = range(1 + self.n_fft // 2)

        def frequency(number: int) -> float:
            return number * self.sample_rate / self.n_fft

        return range(bisect_left(every, self.f_min, key=frequency), bisect_right(every, self.f_max, key=frequency))

    @property
    def n_bins(self) -> int:
        """One bin per FFT bin of the band."""
        return len(self.band)

    @model_validator(mode="after")
    def _not_empty(self) -> "LogLinearParams":
        if not self.band:
            raise ValueError(
                f"no FFT bin lies between f_min {self.f_min} and f_max {self.f_max}: bins are "
                f"{self.sample_rate / self.n_fft:g} Hz apart"
            )
        return self


class LogLinear(SpectrumFrontEnd):
    """The log-linear front end: each bin is one FFT bin, with weight 1."""

    version: ClassVar[int] = 3

    def __init__(self, params: LogLinearParams) -> None:
        fft_bins = np.array(params.band)
        bands = Bands(fft_bins, np.arange(len(fft_bins) + 1), np.ones(len(fft_bins)))
        super().__init__(params, bands, fft_bins * params.sample_rate / params.n_fft)
