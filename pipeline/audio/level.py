"""Level of a waveform in decibels relative to full scale, and the limit on its peak."""

from typing import Final

import numpy as np

from pipeline.audio import Waveform

LOWEST_DB: Final = -200.0


def amplitude_db(amplitude: float) -> float:
    """An amplitude, 1 at full scale, in dB; at least `LOWEST_DB`, which is also the level of 0."""
    return power_db(amplitude * amplitude)


def power_db(power: float) -> float:
    """A power or mean square, 1 at full scale, in dB; at least `LOWEST_DB`, which is also the level of 0."""
    # Imported here: whoever reads the parameters of augmentation imports this module, and numba takes half a second.
    from pipeline.audio.kernels import decibels

    return float(decibels(power, LOWEST_DB))


def limit_peak(waveform: Waveform, peak: float | None = None) -> Waveform:
    """Scales a waveform that leaves [-1, 1] down to a peak of exactly 1; any other is returned as it is.

    Args:
        waveform: float32 [samples].
        peak: Its largest absolute value, where the caller knows it.
    """
    if peak is None:
        peak = float(np.abs(waveform).max(initial=np.float32(0.0)))
    return waveform / np.float32(peak) if peak > 1.0 else waveform
