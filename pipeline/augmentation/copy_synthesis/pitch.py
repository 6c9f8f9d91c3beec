"""The fundamental frequency of speech, by normalised cross-correlation.

Source: D. Talkin, "A robust algorithm for pitch tracking (RAPT)", in: Speech Coding and Synthesis, 1995. Here without its
dynamic programming: the shortest lag whose correlation is near the highest wins, and a median removes single errors.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.audio.long_fourier import irfft_of_one, padded_length, rfft_of_one
from pipeline.augmentation.copy_synthesis.base import FloatArray
from pipeline.augmentation.copy_synthesis.short_time import scaled

HOP_S: Final = 0.005
"""From frame to frame, in seconds."""

LOWEST_HZ: Final = 60.0
HIGHEST_HZ: Final = 450.0

# The correlation is computed at about this rate, in Hz, of a signal without what lies above the cutoff.
_RATE = 4000
_CUTOFF_HZ = (800.0, 1200.0)
_WINDOW_S = 0.03
_LEAST_CORRELATION = 0.55
# Of the highest correlation: a shorter lag that reaches this share is taken.
_NEAR_HIGHEST = 0.88
# Frames this far below the loudest are unvoiced, as a power ratio.
_LEAST_POWER = 1e-4


def hop_samples(sample_rate: int) -> int:
    """Samples from frame to frame."""
    return max(1, round(HOP_S * sample_rate))


def fundamental(waveform: Waveform, sample_rate: int) -> FloatArray:
    """The fundamental frequency at samples 0, hop, 2 × hop, … in Hz; 0 where the speech is unvoiced.

    Args:
        waveform: float32 [samples].
        sample_rate: In Hz.

    Returns:
        float64 [1 + samples // hop], with `hop_samples` as the hop.
    """
    step = max(1, sample_rate // _RATE)
    low = _without_highs(waveform, sample_rate)[::step]
    rate = sample_rate / step
    hop = hop_samples(sample_rate)
    raw = np.zeros(1 + len(waveform) // hop)
    _track(np.ascontiguousarray(low), rate, hop / step, round(_WINDOW_S * rate), raw)
    out = np.zeros_like(raw)
    _median(raw, out)
    return out


def at_samples(frames: FloatArray, sample_rate: int, n_samples: int) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """The fundamental frequency at every sample.

    Args:
        frames: From `fundamental`.
        sample_rate: In Hz.
        n_samples: Of the waveform.

    Returns:
        float64 [samples] in Hz, interpolated through unvoiced stretches (120 Hz without any voiced frame); and bool [samples],
        whether the nearest frame is voiced.
    """
    pitch, voiced = np.empty(n_samples), np.empty(n_samples, np.bool_)
    _interpolate(frames, hop_samples(sample_rate), pitch, voiced)
    return pitch, voiced


def _without_highs(waveform: Waveform, sample_rate: int) -> FloatArray:
    n_fft = padded_length(len(waveform))
    spectrum = rfft_of_one(waveform, n_fft)
    hz = np.arange(len(spectrum)) * (sample_rate / n_fft)
    low, high = _CUTOFF_HZ
    gains = np.minimum(1.0, np.maximum(0.0, (high - hz) / (high - low))) * np.minimum(1.0, hz / (0.7 * LOWEST_HZ))
    return irfft_of_one(scaled(spectrum, gains), len(waveform))


@compiled
def _track(low: Any, rate: float, hop: float, window: int, out: Any) -> None:
    shortest, longest = int(rate / HIGHEST_HZ), int(rate / LOWEST_HZ) + 1
    n_lags = longest - shortest + 1
    correlations = np.zeros(n_lags)
    powers = np.zeros(len(out))
    loudest: Any = 0.0
    for t in range(len(out)):
        first = int(t * hop) - window // 2
        for i in range(max(0, first), min(len(low), first + window)):
            powers[t] += low[i] * low[i]
        loudest = max(loudest, powers[t])
    padded = np.zeros(len(low) + 2 * (window + longest))
    padded[window + longest : window + longest + len(low)] = low
    for t in range(len(out)):
        if powers[t] <= _LEAST_POWER * loudest:
            continue
        highest: Any = 0.0
        for n in range(n_lags):
            lag = shortest + n
            # Both windows lie around the frame's centre.
            start = int(t * hop) - (window + lag) // 2 + window + longest
            product: Any = 0.0
            power_0: Any = 1e-12
            power_1: Any = 1e-12
            for i in range(start, start + window):
                product += padded[i] * padded[i + lag]
                power_0 += padded[i] * padded[i]
                power_1 += padded[i + lag] * padded[i + lag]
            correlations[n] = product / np.sqrt(power_0 * power_1)
            highest = max(highest, correlations[n])
        if highest < _LEAST_CORRELATION:
            continue
        for n in range(1, n_lags - 1):
            left, peak, right = correlations[n - 1], correlations[n], correlations[n + 1]
            if peak >= _NEAR_HIGHEST * highest and peak >= left and peak > right:
                # The top of a parabola through three values.
                shift = 0.5 * (left - right) / (left - 2.0 * peak + right)
                out[t] = rate / (shortest + n + shift)
                break


@compiled
def _median(frames: Any, out: Any) -> None:
    """The median of five voiced neighbours; frames whose neighbours are mostly of the other sort take theirs."""
    five = np.zeros(5)
    for t in range(len(frames)):
        for j in range(5):
            five[j] = frames[min(max(t + j - 2, 0), len(frames) - 1)]
        out[t] = np.sort(five)[2]


@compiled
def _interpolate(frames: Any, hop: int, pitch: Any, voiced: Any) -> None:
    filled = np.full(len(frames), 120.0)
    before = -1
    for t in range(len(frames)):
        if frames[t] > 0.0:
            filled[t] = frames[t]
            for gap in range(before + 1, t):
                weight = (gap - before) / (t - before)
                filled[gap] = frames[t] if before < 0 else (1.0 - weight) * frames[before] + weight * frames[t]
            before = t
    if before >= 0:
        filled[before + 1 :] = frames[before]
    for i in range(len(pitch)):
        t = i // hop
        after = min(t + 1, len(frames) - 1)
        weight = (i - t * hop) / hop
        pitch[i] = (1.0 - weight) * filled[t] + weight * filled[after]
        voiced[i] = frames[after if weight >= 0.5 else t] > 0.0
