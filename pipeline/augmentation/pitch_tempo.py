"""Pitch shift and time stretch in one pass of a phase vocoder."""

import numpy as np
import numpy.typing as npt
import scipy.fft
import soxr

from pipeline.audio import Waveform
from pipeline.audio.kernels import overlap_add, phase_vocoder, windowed_frames

# The phase vocoder's frames, librosa's defaults.
_N_FFT = 2048


_HOP_LENGTH = 512


def stretched_length(n_samples: int, rate: float) -> int:
    """Samples after a time stretch: round(n_samples / rate), at least one."""
    return max(1, round(n_samples / rate))


def change_pitch_and_tempo(waveform: Waveform, semitones: float, rate: float, sample_rate: int) -> Waveform:
    """Shifts the pitch and changes the tempo.

    With ratio = 2^(-semitones / 12), the phase vocoder stretches by rate × ratio and soxr resamples by ratio. For one of the
    two alone this is the algorithm of `librosa.effects.pitch_shift` and `time_stretch`; both take a single pass here.

    Args:
        waveform: float32 [samples].
        semitones: Above 0 is higher.
        rate: Above 1 is faster and shorter.
        sample_rate: Hz.

    Returns:
        float32 [stretched_length(samples, rate)].
    """
    n_samples = stretched_length(len(waveform), rate)
    if semitones == 0.0:
        return waveform if rate == 1.0 else _stretch(waveform, rate)
    ratio = 2.0 ** (-semitones / 12.0)
    stretched = _stretch(waveform, rate * ratio)
    shifted = soxr.resample(stretched, sample_rate / ratio, sample_rate, quality="HQ")[:n_samples]
    result = np.zeros(n_samples, np.float32)
    result[: len(shifted)] = shifted
    return result


def _stretch(waveform: Waveform, rate: float) -> Waveform:
    """Stretches by a rate with the pitch kept: float32 [stretched_length(samples, rate)]."""
    n_samples = stretched_length(len(waveform), rate)
    margin = _N_FFT // 2
    window = _hann()
    padded = np.zeros(len(waveform) + _N_FFT, np.float32)
    padded[margin : margin + len(waveform)] = waveform
    frames = np.empty((1 + len(waveform) // _HOP_LENGTH, _N_FFT), np.float32)
    windowed_frames(padded, window, _HOP_LENGTH, 0, frames)
    spectra = scipy.fft.rfft(frames, axis=1, overwrite_x=True)
    stretched = np.empty((int(np.ceil(len(frames) / rate)), spectra.shape[1]), np.complex64)
    phase_vocoder(spectra, rate, stretched)
    synthesis = scipy.fft.irfft(stretched, n=_N_FFT, axis=1, overwrite_x=True)
    total = max((len(synthesis) - 1) * _HOP_LENGTH + _N_FFT, margin + n_samples)
    result, window_energy = np.zeros(total, np.float32), np.zeros(total, np.float32)
    overlap_add(synthesis, window, _HOP_LENGTH, result, window_energy)
    result, window_energy = result[margin : margin + n_samples], window_energy[margin : margin + n_samples]
    np.divide(result, window_energy, out=result, where=window_energy > np.finfo(np.float32).tiny)
    return result


def _hann() -> npt.NDArray[np.float32]:
    return np.asarray(0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_N_FFT) / _N_FFT), dtype=np.float32)
