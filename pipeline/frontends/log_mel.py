"""Waveforms to log-Mel spectrograms: the one definition of the front end that training, evaluation and scoring share.

It is librosa's `power_to_db(melspectrogram(...))` with an absolute floor, computed several times faster and independent of
the number of threads. `FRONT_END_VERSION` is raised by hand whenever the same waveform would give other values.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.fft

from pipeline.audio.kernels import band_powers, windowed_frames
from pipeline.params import FeatureParams

FRONT_END_VERSION: Final = 1

# Samples per block of frames: keeps frames and spectra of a block in a core's cache. No value depends on it.
_BLOCK_SAMPLES = 1 << 15


def n_frames(n_samples: int, params: FeatureParams) -> int:
    """Frames that `LogMel` makes of a waveform of `n_samples` samples."""
    return 1 + (n_samples + 2 * (params.n_fft // 2) - params.n_fft) // params.hop_length


def padded_window(params: FeatureParams) -> npt.NDArray[np.float64]:
    """The periodic Hann window of `win_length` samples with zeros around it, float64 [n_fft].

    An odd number of zeros leaves the extra one at the end.
    """
    window = np.zeros(params.n_fft)
    start = (params.n_fft - params.win_length) // 2
    phase = 2.0 * np.pi * np.arange(params.win_length) / params.win_length
    window[start : start + params.win_length] = 0.5 - 0.5 * np.cos(phase)
    return window


def hz_to_mel(frequencies: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Frequencies in Hz on the mel scale of Slaney's Auditory Toolbox (1998).

    Linear below 1 kHz (200/3 Hz per mel), logarithmic above (27 mels for a factor of 6.4).
    """
    hz = np.asarray(frequencies, dtype=np.float64)
    return np.where(hz < 1000.0, 3.0 * hz / 200.0, 15.0 + 27.0 * np.log(np.maximum(hz, 1000.0) / 1000.0) / np.log(6.4))


def mel_to_hz(mels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The inverse of `hz_to_mel`."""
    mel = np.asarray(mels, dtype=np.float64)
    return np.where(mel < 15.0, 200.0 * mel / 3.0, 1000.0 * np.exp(np.log(6.4) / 27.0 * (np.maximum(mel, 15.0) - 15.0)))


def mel_filterbank(params: FeatureParams) -> npt.NDArray[np.float32]:
    """Triangular mel filters of unit area, float32 [n_mels, 1 + n_fft // 2].

    The corners of filter m are three neighbours of `n_mels` + 2 points, evenly spaced in mel from `f_min` to `f_max`; its height
    is 2 / (upper - lower corner in Hz), which is Slaney's normalisation and librosa's default. Filters narrower than
    the distance of two FFT bins may be empty and then give the floor.
    """
    lowest, highest = hz_to_mel([params.f_min, params.f_max])
    corners = mel_to_hz(np.linspace(lowest, highest, params.n_mels + 2))
    bins = np.arange(1 + params.n_fft // 2) * (params.sample_rate / params.n_fft)
    widths = np.diff(corners)
    rising = (bins - corners[:-2, None]) / widths[:-1, None]
    falling = (corners[2:, None] - bins) / widths[1:, None]
    heights = 2.0 / (corners[2:] - corners[:-2])
    filters: npt.NDArray[np.float32] = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    filters *= heights[:, None]
    return filters


class LogMel:
    """The log-Mel front end for one set of parameters; make it once, call it for every clip.

    Frame t is centred on sample t × `hop_length`; beyond the ends of the clip there are zeros. Its power spectrum (squared
    magnitude of the FFT of the Hann-windowed samples) goes through `mel_filterbank` and becomes
    10 log10(power), at least `floor_db`. No value depends on another frame's samples.

    The arithmetic is float64 up to the logarithm and every sum runs in the order of the bins, without BLAS: the result does
    not depend on the number of threads. A call changes nothing in the object, so threads may share it.
    """

    def __init__(self, params: FeatureParams) -> None:
        self.params = params
        self._window = padded_window(params)
        filters = mel_filterbank(params)
        used = filters > 0.0
        lengths = np.where(used.any(axis=1), filters.shape[1] - used[:, ::-1].argmax(axis=1) - used.argmax(axis=1), 0)
        self._first_bins = used.argmax(axis=1)
        self._offsets = np.concatenate([[0], np.cumsum(lengths)])
        self._weights = filters[used].astype(np.float64)
        self._block_frames = max(1, _BLOCK_SAMPLES // params.n_fft)

    def __call__(self, waveform: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Computes the spectrogram of a clip.

        Args:
            waveform: float32 [samples], in [-1, 1], at `params.sample_rate`, at least one sample.

        Returns:
            float32 [frames, n_mels], in dB, with `n_frames(samples, params)` frames.
        """
        params = self.params
        margin = params.n_fft // 2
        padded = np.zeros(len(waveform) + 2 * margin, dtype=np.float32)
        padded[margin : margin + len(waveform)] = waveform
        powers = np.empty((n_frames(len(waveform), params), params.n_mels), dtype=np.float32)
        frames = np.empty((self._block_frames, params.n_fft))
        for start in range(0, len(powers), self._block_frames):
            block = powers[start : start + self._block_frames]
            windowed_frames(padded, self._window, params.hop_length, start, frames[: len(block)])
            spectra = scipy.fft.rfft(frames[: len(block)], axis=1)
            band_powers(spectra, self._first_bins, self._offsets, self._weights, block)
        return _to_decibels(powers, params.floor_db)


def _to_decibels(powers: npt.NDArray[np.float32], floor_db: float) -> npt.NDArray[np.float32]:
    """10 log10 of powers, in place; at least `floor_db`."""
    # A hair below the floor, which the last line sets exactly; this one keeps the logarithm finite.
    np.maximum(powers, np.float32(10.0 ** ((floor_db - 0.01) / 10.0)), out=powers)
    np.log(powers, out=powers)
    powers *= np.float32(10.0 / np.log(10.0))
    return np.maximum(powers, np.float32(floor_db), out=powers)
