"""Kind `griffin_lim`: the magnitude spectrogram is kept, the phase is estimated from it.

Source: D. Griffin and J. Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 32(2), 1984;
momentum: N. Perraudin, P. Balazs and P. Søndergaard, "A fast Griffin-Lim algorithm", WASPAA 2013.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.audio import Waveform
from pipeline.augmentation.copy_synthesis.base import Draws, FloatArray, Resynthesis, Values, samples_at
from pipeline.augmentation.copy_synthesis.short_time import (
    ShortTime,
    griffin_lim,
    magnitudes,
    random_phases,
    with_magnitudes,
)


@dataclass(frozen=True)
class GriffinLimValues(Values):
    """Drawn values.

    Attributes:
        n_fft: Window in samples at 16 kHz.
        overlap: Hops per window.
        iterations: Of the phase estimation.
        momentum: 0 or 0.99.
        seed: Of the phases that it begins with.
    """

    n_fft: int
    overlap: int
    iterations: int
    momentum: float
    seed: int


class GriffinLim(Resynthesis[GriffinLimValues]):
    """Phase estimation from linear magnitudes."""

    name: ClassVar[str] = "griffin_lim"

    def draw(self, generator: np.random.Generator) -> GriffinLimValues:
        draws = Draws(generator)
        return GriffinLimValues(
            n_fft=draws.choice(256, 400, 512, 800, 1024),
            overlap=draws.choice(2, 4, 5),
            iterations=draws.integer(1, 23),
            momentum=draws.choice(0.0, 0.99),
            seed=draws.seed(),
        )

    def apply(self, waveform: Waveform, values: GriffinLimValues, sample_rate: int) -> FloatArray:
        n_fft = samples_at(sample_rate, values.n_fft)
        short_time = ShortTime(len(waveform), n_fft, n_fft // values.overlap)
        wanted = magnitudes(short_time.analyse(waveform))
        phases = random_phases(wanted.shape, np.random.default_rng(values.seed))
        return griffin_lim(short_time, wanted, with_magnitudes(phases, wanted), values.iterations, values.momentum)
