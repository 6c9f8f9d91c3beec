"""Gives a twin the band, the level and the rounding of its original, so that nothing but the resynthesis tells them apart.

The dither is that of S. Lipshitz, R. Wannamaker and J. Vanderkooy, "Quantization and dither: a theoretical survey", JAES 40(5),
1992, with a rectangular density of one step.
"""

import math
from typing import Any, Final

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.audio.long_fourier import irfft_of_one, padded_length, rfft_of_one
from pipeline.augmentation.copy_synthesis.base import FloatArray
from pipeline.augmentation.copy_synthesis.short_time import scaled
from pipeline.augmentation.kernels import power_about_mean

# Width of the bands in which the long-term spectra are compared.
_BAND_HZ = 62.5
# The band of a recording ends where its long-term spectrum is this far below its highest band, as a power ratio (-60 dB).
_EDGE_POWER = 1e-6
_FULL_SCALE: Final = 32768.0
# Mean power of the error of rounding with this dither, in steps squared.
_DITHER_POWER = 1.0 / 6.0


def matched(resynthesis: FloatArray, original: Waveform, sample_rate: int, seed: int) -> Waveform:
    """The resynthesis with what a recording has beside its speech.

    1. Band: below the lowest and above the highest band in which the original's long-term spectrum is within 60 dB of its
       maximum, no band of the result is louder than that of the original; that includes the dither.
    2. Level: the RMS is that of the original.
    3. Rounding: to 16 bits with dither of one step; samples beyond full scale are clipped.

    Args:
        resynthesis: float64 [samples], of any level.
        original: float32 [samples].
        sample_rate: In Hz.
        seed: Of the dither.

    Returns:
        float32 [samples], in [-1, 1].
    """
    within_band = _band_limited(resynthesis, original, sample_rate, _level_gain(resynthesis, original))
    gain = _level_gain(within_band, original)
    out = np.empty(len(original), np.float32)
    _round(within_band, gain * _FULL_SCALE, np.random.default_rng(seed).random(len(out)), out)
    return out


def _level_gain(waveform: FloatArray, original: Waveform) -> float:
    power = power_about_mean(waveform)
    return math.sqrt(power_about_mean(original) / power) if power > 0.0 else 0.0


def _band_limited(resynthesis: FloatArray, original: Waveform, sample_rate: int, level_gain: float) -> FloatArray:
    n_fft = padded_length(len(original))
    spectrum = rfft_of_one(resynthesis, n_fft)
    wanted = rfft_of_one(original, n_fft)
    gains = np.ones(len(spectrum))
    width = max(1, round(_BAND_HZ * n_fft / sample_rate))
    dither = _DITHER_POWER / _FULL_SCALE**2 * len(original)
    _band_gains(spectrum, wanted, width, level_gain * level_gain, dither, _EDGE_POWER, gains)
    return irfft_of_one(scaled(spectrum, gains), len(original))


@compiled
def _band_gains(
    spectrum: Any, wanted: Any, width: int, power_gain: float, dither: float, edge_power: float, gains: Any
) -> None:
    """Sets the gain of every bin; bands are `width` bins wide, and gains are linear between their centres.

    Args:
        spectrum: complex128 [bins], of the twin.
        wanted: complex128 [bins], of the original.
        width: Bins of a band, at least one.
        power_gain: Of the twin, which brings it to the level of the original.
        dither: Expected power of the dither in a bin.
        edge_power: The band ends where the original's power is below this share of its highest.
        gains: float64 [bins].
    """
    n_bands = (len(gains) + width - 1) // width
    powers, wanted_powers, band_gains = np.zeros(n_bands), np.zeros(n_bands), np.ones(n_bands)
    for k in range(len(gains)):
        found, original = spectrum[k], wanted[k]
        powers[k // width] += found.real * found.real + found.imag * found.imag
        wanted_powers[k // width] += original.real * original.real + original.imag * original.imag
    least: Any = 0.0
    for band in range(n_bands):
        least = max(least, wanted_powers[band])
    least *= edge_power
    lowest, highest = 0, n_bands - 1
    while lowest < n_bands - 1 and wanted_powers[lowest] < least:
        lowest += 1
    while highest > 0 and wanted_powers[highest] < least:
        highest -= 1
    for band in range(n_bands):
        most = max(0.0, wanted_powers[band] - dither * width)
        power = powers[band] * power_gain
        if (band < lowest or band > highest) and power > most:
            band_gains[band] = np.sqrt(most / power)
    for k in range(len(gains)):
        place = min(max((k - 0.5 * (width - 1)) / width, 0.0), n_bands - 1.0)
        below = int(place)
        above = min(below + 1, n_bands - 1)
        weight = place - below
        gains[k] = (1.0 - weight) * band_gains[below] + weight * band_gains[above]


@compiled
def _round(values: Any, gain: float, uniform: Any, out: Any) -> None:
    """Rounds gain × values up or down with dither from `uniform`, in [0, 1), to steps of 2⁻¹⁵ within [-1, 1)."""
    for i in range(len(out)):
        step = np.floor(values[i] * gain + uniform[i])
        out[i] = min(max(step, -32768.0), 32767.0) * (1.0 / 32768.0)
