"""Added noise: white, pink or babble, at a drawn signal-to-noise ratio."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from pipeline.audio import Waveform

_PINK_FROM_HZ = 20.0


def pink_noise(n_samples: int, sample_rate: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Gaussian noise, float64 [n_samples], whose power falls with 1/f from 20 Hz on and is flat below."""
    # A length that the FFT likes; its end is cut off.
    length = scipy.fft.next_fast_len(max(n_samples, 2), real=True)
    spectrum = scipy.fft.rfft(generator.standard_normal(length))
    frequencies = np.arange(len(spectrum)) * (sample_rate / length)
    spectrum /= np.sqrt(np.maximum(frequencies, _PINK_FROM_HZ))
    spectrum[0] = 0.0
    return np.asarray(scipy.fft.irfft(spectrum, n=length)[:n_samples])


def add_noise(waveform: Waveform, noise: npt.NDArray[np.floating[Any]], snr_db: float) -> Waveform:
    """Adds noise at a signal-to-noise ratio.

    Args:
        waveform: float32 [samples].
        noise: Floats [samples], of any level.
        snr_db: Mean power of `waveform` over that of the noise added, in dB.

    Returns:
        float32 [samples], which may leave [-1, 1].
    """
    noise_power = _mean_power(noise)
    if noise_power == 0.0:
        return waveform
    gain = np.sqrt(_mean_power(waveform) / noise_power) * 10.0 ** (-snr_db / 20.0)
    return np.asarray(waveform + gain * noise, dtype=np.float32)


def _mix_voices(voices: Sequence[Waveform], n_samples: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Sums clips at equal power, each from a random sample on and repeated as needed; float64 [n_samples]."""
    mix = np.zeros(n_samples)
    for voice, start in zip(voices, generator.random(len(voices)), strict=True):
        power = _mean_power(voice)
        if power > 0.0:
            mix += np.resize(np.roll(voice, -int(start * len(voice))), n_samples) / np.sqrt(power)
    return mix


def _mean_power(waveform: npt.NDArray[np.floating[Any]]) -> float:
    return float(np.mean(np.square(waveform, dtype=np.float64)))
