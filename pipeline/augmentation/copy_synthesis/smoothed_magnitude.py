"""Kind `smoothed_magnitude`: log magnitudes are smoothed, the phase stays near the original's.

Vocoders and acoustic models smooth spectra over frequency and time. Source: S. Takamichi et al., "Postfilters to modify the
modulation spectrum for statistical parametric speech synthesis", IEEE/ACM TASLP 24(4), 2016, which measures the effect.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.augmentation.copy_synthesis.arithmetic import exponential
from pipeline.augmentation.copy_synthesis.base import Draws, FloatArray, Resynthesis, Values, samples_at
from pipeline.augmentation.copy_synthesis.short_time import (
    ShortTime,
    exps,
    griffin_lim,
    log_magnitudes,
    turn_phases,
    with_magnitudes,
)

_HOPS_PER_WINDOW = 4
# Half the length of the smoothing window, in standard deviations.
_REACH = 3.0


@dataclass(frozen=True)
class SmoothedMagnitudeValues(Values):
    """Drawn values.

    Attributes:
        n_fft: Window in samples at 16 kHz.
        over_bins: Standard deviation of the Gaussian smoothing over frequency, in bins.
        over_frames: That over time, in frames.
        jitter: Standard deviation of the phase at the Nyquist frequency in radians.
        jitter_at_0: That at 0 Hz, as a share of it.
        iterations: Of phase estimation afterwards.
        seed: Of the phases.
    """

    n_fft: int
    over_bins: float
    over_frames: float
    jitter: float
    jitter_at_0: float
    iterations: int
    seed: int


class SmoothedMagnitude(Resynthesis[SmoothedMagnitudeValues]):
    """Magnitudes smoothed by a Gaussian."""

    name: ClassVar[str] = "smoothed_magnitude"

    def draw(self, generator: np.random.Generator) -> SmoothedMagnitudeValues:
        draws = Draws(generator)
        return SmoothedMagnitudeValues(
            n_fft=draws.choice(512, 1024),
            over_bins=draws.between(0.6, 2.5),
            over_frames=draws.between(0.0, 1.5),
            jitter=draws.between(0.1, 1.2),
            jitter_at_0=draws.between(0.0, 1.0),
            iterations=draws.integer(0, 5),
            seed=draws.seed(),
        )

    def apply(self, waveform: Waveform, values: SmoothedMagnitudeValues, sample_rate: int) -> FloatArray:
        n_fft = samples_at(sample_rate, values.n_fft)
        short_time = ShortTime(len(waveform), n_fft, n_fft // _HOPS_PER_WINDOW)
        spectra = short_time.analyse(waveform)
        wanted = exps(smoothed(log_magnitudes(spectra), values.over_frames, values.over_bins))
        deviations = values.jitter * np.linspace(values.jitter_at_0, 1.0, short_time.n_bins)
        turned = turn_phases(spectra, deviations, np.random.default_rng(values.seed))
        return griffin_lim(short_time, wanted, with_magnitudes(turned, wanted), values.iterations, 0.0)


def smoothed(values: FloatArray, over_rows: float, over_columns: float) -> FloatArray:
    """Gaussian smoothing along both axes; the edges are reflected.

    Args:
        values: float64 [rows, columns].
        over_rows: Standard deviation along the first axis in rows; 0 smooths nothing.
        over_columns: That along the second axis, in columns.
    """
    if over_columns > 0.0:
        values = _along_columns(values, over_columns)
    if over_rows > 0.0:
        values = np.ascontiguousarray(_along_columns(np.ascontiguousarray(values.T), over_rows).T)
    return values


def _along_columns(values: FloatArray, deviation: float) -> FloatArray:
    out = np.empty_like(values)
    _smooth_rows(values, deviation, min(int(_REACH * deviation + 0.5), values.shape[1] - 1), out)
    return out


@compiled
def _smooth_rows(values: Any, deviation: float, reach: int, out: Any) -> None:
    weights = np.ones(reach + 1)
    total: Any = 1.0
    for j in range(1, reach + 1):
        weights[j] = exponential(-0.5 * j * j / (deviation * deviation))
        total += 2.0 * weights[j]
    n = values.shape[1]
    for row in range(values.shape[0]):
        source, target = values[row], out[row]
        for i in range(n):
            target[i] = weights[0] * source[i]
        for j in range(1, reach + 1):
            for i in range(j, n):
                target[i] += weights[j] * source[i - j]
            for i in range(min(j, n)):
                target[i] += weights[j] * source[min(j - 1 - i, n - 1)]
            for i in range(n - j):
                target[i] += weights[j] * source[i + j]
            for i in range(max(0, n - j), n):
                target[i] += weights[j] * source[max(0, 2 * n - 1 - i - j)]
        for i in range(n):
            target[i] /= total
