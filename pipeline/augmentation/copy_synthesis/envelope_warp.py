"""Kind `envelope_warp`: the spectral envelope is warped and tilted, excitation and phase are kept.

What voice conversion by spectral differences does. Source: K. Kobayashi, T. Toda and S. Nakamura, "Intra-gender statistical
singing voice conversion with direct waveform modification using log-spectral differential", Speech Communication 99, 2018;
the envelope by liftering: A. Oppenheim and R. Schafer, "Homomorphic analysis of speech", IEEE TAU 16(2), 1968.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.audio.fourier import irfft, rfft
from pipeline.augmentation.copy_synthesis.arithmetic import cosine_sine, exponential
from pipeline.augmentation.copy_synthesis.base import Draws, FloatArray, Resynthesis, Values, samples_at
from pipeline.augmentation.copy_synthesis.short_time import ShortTime, log_magnitudes, scaled

_HOPS_PER_WINDOW = 4
# The envelope changes by at most this, in nepers (26 dB).
_LARGEST_CHANGE = 3.0


@dataclass(frozen=True)
class EnvelopeWarpValues(Values):
    """Drawn values.

    Attributes:
        n_fft: Window in samples at 16 kHz.
        coefficients: Cepstral coefficients of the envelope, at a window of 1024.
        warp: Factor on the frequencies of the envelope.
        is_bilinear: Whether the factor fades towards the Nyquist frequency; else it is the same everywhere.
        tilt: Nepers between 0 Hz and half the Nyquist frequency.
        bend: Nepers between 0 Hz and a quarter of the Nyquist frequency, which come back at half of it.
    """

    n_fft: int
    coefficients: int
    warp: float
    is_bilinear: bool
    tilt: float
    bend: float


class EnvelopeWarp(Resynthesis[EnvelopeWarpValues]):
    """The envelope, read at warped frequencies."""

    name: ClassVar[str] = "envelope_warp"

    def draw(self, generator: np.random.Generator) -> EnvelopeWarpValues:
        draws = Draws(generator)
        return EnvelopeWarpValues(
            n_fft=draws.choice(512, 800, 1024),
            coefficients=draws.choice(20, 30, 40),
            warp=draws.between(0.84, 1.18),
            is_bilinear=draws.chance(0.4),
            tilt=draws.between(-0.6, 0.6),
            bend=draws.between(-0.35, 0.35),
        )

    def apply(self, waveform: Waveform, values: EnvelopeWarpValues, sample_rate: int) -> FloatArray:
        n_fft = samples_at(sample_rate, values.n_fft)
        short_time = ShortTime(len(waveform), n_fft, n_fft // _HOPS_PER_WINDOW)
        spectra = short_time.analyse(waveform)
        cepstra = irfft(log_magnitudes(spectra).astype(np.complex128), n_fft)
        kept = min(4 + values.coefficients * values.n_fft // 1024, n_fft // 2 - 1)
        cepstra[:, kept : n_fft - kept + 1] = 0.0
        envelope = np.ascontiguousarray(rfft(cepstra).real)
        gains = np.empty_like(envelope)
        _warp_gains(envelope, values.warp, values.is_bilinear, values.tilt, values.bend, _LARGEST_CHANGE, gains)
        return short_time.synthesise(scaled(spectra, gains))


@compiled
def _warp_gains(
    envelope: Any, warp: float, is_bilinear: bool, tilt: float, bend: float, largest: float, gains: Any
) -> None:
    last = envelope.shape[1] - 1
    for k in range(last + 1):
        fading = (warp - 1.0) * last / np.pi * cosine_sine(0.5 * k / last)[1] * 1.5
        position = k + fading if is_bilinear else k / warp
        position = min(max(position, 0.0), float(last))
        below = min(int(position), last - 1)
        weight = position - below
        change = tilt * cosine_sine(0.5 * k / last)[0] + bend * cosine_sine(1.0 * k / last)[0]
        for t in range(envelope.shape[0]):
            warped = (1.0 - weight) * envelope[t, below] + weight * envelope[t, below + 1]
            value = warped - envelope[t, k] + change
            gains[t, k] = exponential(min(max(value, -largest), largest))
