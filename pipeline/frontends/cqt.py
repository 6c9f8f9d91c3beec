"""Kind `cqt`: the constant-Q transform, in dB.

The filters are those of `librosa.filters.wavelet` with its defaults, scaled as `librosa.cqt` scales them. They are applied to the
spectrum of each frame, as Brown and Puckette do ("An efficient algorithm for the calculation of a constant Q transform", Journal
of the Acoustical Society of America 92, 1992), at the full sample rate. `librosa.cqt` itself is not used: it resamples octave by
octave, which changes values by 0.2 dB in the median, and its last digits depend on the processor.
"""

import math
from typing import ClassVar, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pipeline.audio import Waveform
from pipeline.audio.exact import exact_power
from pipeline.audio.windows import cosines, hann, sines
from pipeline.frontends.base import FrontEndParams, PowerFrontEnd
from pipeline.frontends.level import level_gain
from pipeline.frontends.spectra import Bands, blocks_of_spectra

# FFT bins in which a filter is this much weaker than in its strongest one are left out: -100 dB.
_WEAKEST: Final = 1e-5
_LONGEST_FFT: Final = 1 << 16
# Width of the Hann window's main lobe at half its power, in FFT bins; librosa's `window_bandwidth("hann")`.
_BANDWIDTH: Final = 1.50018310546875


class CqtParams(FrontEndParams):
    """Parameters of the constant-Q front end. Bin k is centred on `f_min` 2^(k / `bins_per_octave`), up to `f_max`.

    Attributes:
        f_min: Lowest centre frequency in Hz.
        f_max: No centre frequency is higher, in Hz.
        bins_per_octave: Bins from a frequency to its double.
    """

    kind: Literal["cqt"]
    f_min: float = Field(gt=0.0)
    f_max: float = Field(gt=0.0)
    bins_per_octave: int = Field(ge=1, le=96)

    @property
    def n_bins(self) -> int:
        """Centre frequencies from `f_min` to `f_max`."""
        return 1 + math.floor(self.bins_per_octave * math.log2(self.f_max / self.f_min) + 1e-9)

    @property
    def quality(self) -> float:
        """Q, the length of a filter in periods of its centre frequency; that of librosa.

        It is (r² + 1) / (r² - 1) with r the ratio of neighbouring centre frequencies.
        """
        square = exact_power(2, 2.0 / self.bins_per_octave)
        return (square + 1.0) / (square - 1.0)

    @model_validator(mode="after")
    def _band_fits(self) -> "CqtParams":
        if self.f_min >= self.f_max:
            raise ValueError(f"f_min {self.f_min} must be below f_max {self.f_max}")
        highest = self.sample_rate / 2 / (1.0 + 0.5 * _BANDWIDTH / self.quality)
        if self.f_max > highest:
            raise ValueError(
                f"f_max {self.f_max} must not exceed {highest:.0f}: the filters of {self.bins_per_octave} bins per octave would "
                f"reach beyond half the sample rate, {self.sample_rate / 2}"
            )
        length = self.quality * self.sample_rate / self.f_min
        if length > _LONGEST_FFT:
            raise ValueError(
                f"the filter of f_min {self.f_min} has {length:.0f} samples, more than {_LONGEST_FFT}; "
                "raise f_min or lower bins_per_octave"
            )
        return self


class FilterGroup(NamedTuple):
    """Filters that share an FFT.

    Attributes:
        n_fft: FFT length in samples, a power of two.
        bins: Which bins of the spectrogram.
        bands: Their complex weights, which multiply the FFT of a frame.
    """

    n_fft: int
    bins: slice
    bands: Bands


class Cqt(PowerFrontEnd):
    """The constant-Q front end.

    Bin k is 10 log10 of |Σ w[n] exp(2πi f n / `sample_rate`) x[t h + n]|² / N, with N = Q `sample_rate` / f and w the Hann window
    of N samples, divided by its mean. White noise gives the same mean power in every bin. Filters of like length share an FFT of
    the next power of two. The arithmetic is float64, the result float32, the same on every processor.
    """

    version: ClassVar[int] = 1

    def __init__(self, params: CqtParams) -> None:
        ratios = [exact_power(2, k / params.bins_per_octave) for k in range(params.n_bins)]
        super().__init__(params, params.f_min * np.array(ratios))
        self.groups = _filter_groups(self._frequencies, params)

    def n_frames(self, n_samples: int) -> int:
        """Frames of the spectrogram of a waveform of `n_samples` samples: frame t is centred on sample t × `hop_length`."""
        return 1 + n_samples // self._params.hop_length

    def __call__(self, waveform: Waveform) -> npt.NDArray[np.float32]:
        """Computes the spectrogram of a clip, float32 [frames, n_bins], in dB."""
        from pipeline.frontends.kernels import filter_decibels

        params = self._params
        spectrogram = np.empty((self.n_frames(len(waveform)), self.n_bins), dtype=np.float32)
        gain = level_gain(waveform, params)
        for n_fft, bins, bands in self.groups:
            # The window is in the filters.
            window = np.full(n_fft, gain)
            for rows, spectra in blocks_of_spectra(waveform, window, n_fft, params.hop_length, len(spectrogram)):
                filter_decibels(spectra, *bands, params.floor_db, spectrogram[rows, bins])
        return spectrogram


def _filter_groups(frequencies: npt.NDArray[np.float64], params: CqtParams) -> list[FilterGroup]:
    """The filters, those of the longest FFT first."""
    lengths = params.quality * params.sample_rate / frequencies
    sizes = [1 << (math.floor(length) - 1).bit_length() for length in lengths]
    groups = []
    for n_fft in sorted(set(sizes), reverse=True):
        members = [number for number, size in enumerate(sizes) if size == n_fft]
        spectra = np.stack(
            [_filter_spectrum(frequencies[number] / params.sample_rate, lengths[number], n_fft) for number in members]
        )
        groups.append(FilterGroup(n_fft, slice(members[0], members[-1] + 1), _strong_runs(spectra)))
    return groups


def _filter_spectrum(frequency: float, length: float, n_fft: int) -> npt.NDArray[np.complex128]:
    """The weights of the FFT of a frame that give the output of a filter in the middle of the frame.

    Args:
        frequency: Cycles per sample.
        length: Samples, not a whole number.
        n_fft: FFT length.

    Returns:
        complex128 [1 + n_fft // 2]; what the filter passes of negative frequencies is left out, as librosa does.
    """
    from pipeline.audio.fourier import rfft

    samples = np.arange(math.floor(-length / 2), math.floor(length / 2))
    # The samples of a Hann window add up to half their number.
    envelope = hann(len(samples)) * (2.0 * math.sqrt(length) / len(samples))
    taps = np.zeros(n_fft, np.complex128)
    taps.real[n_fft // 2 + samples] = envelope * cosines(samples * frequency)
    taps.imag[n_fft // 2 + samples] = envelope * sines(samples * frequency)
    spectrum: npt.NDArray[np.complex128] = rfft(taps.real[np.newaxis])[0] + 1j * rfft(taps.imag[np.newaxis])[0]
    return spectrum.conj() / n_fft


def _strong_runs(spectra: npt.NDArray[np.complex128]) -> Bands:
    """The run of bins from the first to the last that is strong, of each row."""
    powers = spectra.real * spectra.real + spectra.imag * spectra.imag
    strong = powers >= _WEAKEST**2 * powers.max(axis=1, keepdims=True)
    firsts = strong.argmax(axis=1)
    ends = strong.shape[1] - strong[:, ::-1].argmax(axis=1)
    weights = [row[first:end] for row, first, end in zip(spectra, firsts, ends, strict=True)]
    return Bands(firsts, np.concatenate([[0], np.cumsum(ends - firsts)]), np.concatenate(weights))
