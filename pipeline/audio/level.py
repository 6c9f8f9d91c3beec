"""Level of a waveform in decibels relative to full scale, and the limit on its peak."""

from typing import Final

import numpy as np

from pipeline.audio import Waveform

LOWEST_DB: Final = -200.0


def amplitude_db(amplitude: float) -> float:
    """An amplitude, 1 at full scale, in dB; at least `LOWEST_DB`, which is also the level of 0."""
    return _decibels(amplitude, 20.0)


def power_db(power: float) -> float:
    """A power or mean square, 1 at full scale, in dB; at least `LOWEST_DB`, which is also the level of 0."""
    return _decibels(power, 10.0)


def limit_peak(waveform: Waveform) -> Waveform:
    """Scales a waveform that leaves [-1, 1] down to a peak of exactly 1; any other is returned as it is."""
    peak = np.abs(waveform).max(initial=np.float32(0.0))
    return waveform / peak if peak > 1.0 else waveform


def _decibels(value: float, factor: float) -> float:
    return float(max(factor * np.log10(value), LOWEST_DB)) if value > 0.0 else LOWEST_DB
