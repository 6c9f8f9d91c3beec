"""Kind `mel_magnitude`: magnitudes pass through few mel bands, the phase stays near the original's.

What a neural vocoder does that is given a mel spectrogram and finds a good phase. Source of the bands and of the inversion
from them: J. Shen et al., "Natural TTS synthesis by conditioning WaveNet on mel spectrogram predictions", ICASSP 2018.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.augmentation.copy_synthesis.arithmetic import natural_log
from pipeline.augmentation.copy_synthesis.base import Draws, FloatArray, Resynthesis, Values, samples_at
from pipeline.augmentation.copy_synthesis.short_time import (
    ShortTime,
    griffin_lim,
    magnitudes,
    turn_phases,
    with_magnitudes,
)

_HOPS_PER_WINDOW = 4


@dataclass(frozen=True)
class MelMagnitudeValues(Values):
    """Drawn values.

    Attributes:
        n_fft: Window in samples at 16 kHz.
        n_mels: Bands from 0 Hz to the Nyquist frequency.
        jitter: Standard deviation of the phase at the Nyquist frequency in radians.
        jitter_at_0: That at 0 Hz, as a share of it.
        iterations: Of phase estimation afterwards.
        seed: Of the phases.
    """

    n_fft: int
    n_mels: int
    jitter: float
    jitter_at_0: float
    iterations: int
    seed: int


class MelMagnitude(Resynthesis[MelMagnitudeValues]):
    """Magnitudes through mel bands."""

    name: ClassVar[str] = "mel_magnitude"

    def draw(self, generator: np.random.Generator) -> MelMagnitudeValues:
        draws = Draws(generator)
        return MelMagnitudeValues(
            n_fft=draws.choice(512, 1024),
            n_mels=draws.choice(40, 64, 80, 100),
            jitter=draws.between(0.1, 1.2),
            jitter_at_0=draws.between(0.0, 1.0),
            iterations=draws.integer(0, 5),
            seed=draws.seed(),
        )

    def apply(self, waveform: Waveform, values: MelMagnitudeValues, sample_rate: int) -> FloatArray:
        n_fft = samples_at(sample_rate, values.n_fft)
        short_time = ShortTime(len(waveform), n_fft, n_fft // _HOPS_PER_WINDOW)
        spectra = short_time.analyse(waveform)
        wanted = through_bands(magnitudes(spectra), values.n_mels, sample_rate)
        deviations = values.jitter * np.linspace(values.jitter_at_0, 1.0, short_time.n_bins)
        turned = turn_phases(spectra, deviations, np.random.default_rng(values.seed))
        return griffin_lim(short_time, wanted, with_magnitudes(turned, wanted), values.iterations, 0.0)


def through_bands(magnitude: FloatArray, n_mels: int, sample_rate: int) -> FloatArray:
    """Means over triangular mel bands, spread over the bins again by the same triangles; float64 [frames, bins]."""
    n_bins = magnitude.shape[1]
    positions = np.empty(n_bins)
    _mel_positions(sample_rate / 2.0 / (n_bins - 1), n_mels, positions)
    out = np.empty_like(magnitude)
    _through_bands(magnitude, positions, n_mels, out)
    return out


@compiled
def _mel_positions(bin_hz: float, n_mels: int, out: Any) -> None:
    """The place of each bin among the bands' centres: 0 is the first centre, `n_mels` - 1 the last."""
    highest = natural_log(1.0 + bin_hz * (len(out) - 1) / 700.0)
    for k in range(len(out)):
        out[k] = natural_log(1.0 + bin_hz * k / 700.0) / highest * (n_mels - 1)


@compiled
def _through_bands(magnitude: Any, positions: Any, n_mels: int, out: Any) -> None:
    weights = np.zeros(n_mels)
    totals = np.zeros(n_mels)
    for k in range(len(positions)):
        band = min(int(positions[k]), n_mels - 2)
        weights[band] += 1.0 - (positions[k] - band)
        weights[band + 1] += positions[k] - band
    for t in range(magnitude.shape[0]):
        totals[:] = 0.0
        for k in range(len(positions)):
            band = min(int(positions[k]), n_mels - 2)
            upper = positions[k] - band
            totals[band] += (1.0 - upper) * magnitude[t, k]
            totals[band + 1] += upper * magnitude[t, k]
        for band in range(n_mels):
            # A band narrower than a bin has no weight, and no bin asks for it.
            totals[band] = totals[band] / weights[band] if weights[band] > 0.0 else 0.0
        for k in range(len(positions)):
            band = min(int(positions[k]), n_mels - 2)
            upper = positions[k] - band
            out[t, k] = (1.0 - upper) * totals[band] + upper * totals[band + 1]
