"""Short-time power spectra: what the front ends with equally spaced FFT frames share.

Frame t is centred on sample t × `hop_length`, with zeros beyond the ends of the clip. Kinds differ in the weights that turn
the power of the FFT bins into the power of their own bins.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pipeline.audio import Waveform
from pipeline.audio.windows import hann
from pipeline.frontends.base import FrontEndParams, PowerFrontEnd
from pipeline.frontends.level import level_gain

# Samples per block of frames: keeps frames and spectra of a block in a core's cache. No value depends on it.
_BLOCK_SAMPLES: Final = 1 << 15


class SpectrumParams(FrontEndParams):
    """Framing, window and band of a short-time spectrum.

    Attributes:
        n_fft: FFT length in samples, an even number, at least `win_length`.
        win_length: Window length in samples.
        f_min: Lowest frequency in Hz.
        f_max: Highest frequency in Hz, at most half the sample rate.
    """

    n_fft: int = Field(ge=32, le=16384, multiple_of=2)
    win_length: int = Field(ge=16, le=16384)
    f_min: float = Field(ge=0.0)
    f_max: float = Field(gt=0.0)

    @model_validator(mode="after")
    def _consistent(self) -> "SpectrumParams":
        if self.win_length > self.n_fft:
            raise ValueError(f"win_length {self.win_length} must not exceed n_fft {self.n_fft}")
        if self.hop_length > self.win_length:
            raise ValueError(f"hop_length {self.hop_length} must not exceed win_length {self.win_length}")
        if self.f_max > self.sample_rate / 2:
            raise ValueError(f"f_max {self.f_max} must not exceed half the sample rate, {self.sample_rate / 2}")
        if self.f_min >= self.f_max:
            raise ValueError(f"f_min {self.f_min} must be below f_max {self.f_max}")
        return self


def n_frames(n_samples: int, params: SpectrumParams) -> int:
    """Frames of a waveform of `n_samples` samples."""
    return 1 + (n_samples + 2 * (params.n_fft // 2) - params.n_fft) // params.hop_length


def padded_window(params: SpectrumParams) -> npt.NDArray[np.float64]:
    """The periodic Hann window of `win_length` samples with zeros around it, float64 [n_fft].

    An odd number of zeros leaves the extra one at the end.
    """
    window = np.zeros(params.n_fft)
    start = (params.n_fft - params.win_length) // 2
    window[start : start + params.win_length] = hann(params.win_length)
    return window


class Bands(NamedTuple):
    """Weighted sums over runs of neighbouring FFT bins, as the kernels take them.

    Attributes:
        first_bins: int [n_bins], the first FFT bin of each run.
        offsets: int [n_bins + 1], where the weights of each run begin in `weights`.
        weights: float64 or complex128, the weights of all runs, one after the other.
    """

    first_bins: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    weights: npt.NDArray[Any]


def blocks_of_spectra(
    waveform: Waveform, window: npt.NDArray[np.float64], n_fft: int, hop_length: int, n_frames: int
) -> Iterator[tuple[slice, npt.NDArray[np.complex128]]]:
    """The spectra of the frames of a waveform, some frames at a time.

    Args:
        waveform: float32 [samples].
        window: float64, at most `n_fft` values; zeros surround it up to `n_fft`.
        n_fft: FFT length in samples.
        hop_length: Samples from frame to frame.
        n_frames: How many; frame t is centred on sample t × `hop_length`.

    Yields:
        Which frames, and the FFT of each, complex128 [frames, 1 + n_fft // 2]. The next block replaces the values.
    """
    # Imported here: whoever reads parameters imports this module, and numba takes half a second.
    from pipeline.audio.fourier import rfft
    from pipeline.audio.kernels import windowed_frames

    start = (n_fft - len(window)) // 2
    block_frames = max(1, _BLOCK_SAMPLES // n_fft)
    # Zeros on both sides of the window, which no frame overwrites.
    frames = np.zeros((min(block_frames, n_frames), n_fft))
    for first in range(0, n_frames, block_frames):
        rows = slice(first, min(first + block_frames, n_frames))
        block = frames[: rows.stop - first]
        windowed = block[:, start : start + len(window)]
        windowed_frames(waveform, window, hop_length, start - n_fft // 2 + first * hop_length, windowed)
        yield rows, rfft(block)


class SpectrumFrontEnd(PowerFrontEnd):
    """A front end whose bins are weighted sums of the power of neighbouring FFT bins, in dB.

    The power spectrum of a frame is the squared magnitude of the FFT of its Hann-windowed samples, with no scaling by the
    length or the window. A bin is 10 log10(sum of weight × power), at least `floor_db`. No value depends on another frame's
    samples, unless `level_dbfs` scales the clip as a whole.

    The arithmetic is float64, the result float32. Every sum runs in the order of the FFT bins, without BLAS, and the logarithm
    is the kernel's own: the result depends neither on the number of threads nor on the processor's vector units. A call
    changes nothing in the object, so threads may share it.
    """

    _params: SpectrumParams

    def __init__(self, params: SpectrumParams, bands: Bands, frequencies: npt.NDArray[np.float64]) -> None:
        super().__init__(params, frequencies)
        self._bands = bands
        self._window = hann(params.win_length)

    def n_frames(self, n_samples: int) -> int:
        """Frames of the spectrogram of a waveform of `n_samples` samples."""
        return n_frames(n_samples, self._params)

    def __call__(self, waveform: Waveform) -> npt.NDArray[np.float32]:
        """Computes the spectrogram of a clip.

        Args:
            waveform: float32 [samples], in [-1, 1], at `sample_rate`, at least one sample.

        Returns:
            float32 [frames, n_bins], in dB, with `n_frames(samples)` frames.
        """
        from pipeline.audio.fourier import plan
        from pipeline.audio.frame_spectra import band_decibels

        params = self._params
        spectrogram = np.empty((self.n_frames(len(waveform)), len(self._bands.first_bins)), dtype=np.float32)
        window = self._window * level_gain(waveform, params)
        band_decibels(
            waveform, window, params.hop_length, plan(params.n_fft), *self._bands, params.floor_db, spectrogram
        )
        return spectrogram
