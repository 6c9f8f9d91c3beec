"""Added noise: white, pink or babble, at a drawn signal-to-noise ratio."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from pipeline.audio import Waveform
from pipeline.augmentation.base import Augmentation, Clip, between, exact_power
from pipeline.augmentation.params import NoiseKind, NoiseParams

BABBLE_VOICES: Final = 3

# The sections of the pink filter: the lowest corner in Hz, the factor from corner to corner, and a bound in radians per sample.
_LOWEST_CORNER_HZ = 10.0
_CORNER_FACTOR = 4.0
_CORNER_BOUND = 8.0
# A zero and a pole that turn the 1 / (2 sin(ω / 2)) of the sections into 1 / ω within 0.1 dB up to the Nyquist frequency, by
# a minimax fit.
_NYQUIST_ZERO, _NYQUIST_POLE = -0.4357, -0.3499
# Values dropped until the filter is at rest, in time constants of its lowest corner.
_SETTLING = 8.0


@dataclass(frozen=True)
class NoiseValues:
    """Noise to add.

    Attributes:
        kind: What is added.
        snr_db: Mean power of the whole clip about its mean over that of the noise, in dB.
        seed: Of the generator that makes the noise, or that cuts the voices of the babble.
        babble: Utterance ids of the babble's voices; empty for other kinds.
        wanted: The kind that was drawn; differs from `kind` where too few clips for a babble were available.
    """

    kind: NoiseKind
    snr_db: float
    seed: int
    babble: tuple[str, ...]
    wanted: NoiseKind

    def to_dict(self) -> dict[str, Any]:
        """One entry, `noise`, with `babble` and `instead_of` only where they say something."""
        noise: dict[str, Any] = {"kind": self.kind, "snr_db": self.snr_db, "seed": self.seed}
        if self.babble:
            noise["babble"] = list(self.babble)
        if self.wanted != self.kind:
            noise["instead_of"] = self.wanted
        return {"noise": noise}


class Noise(Augmentation[NoiseValues]):
    """Adds noise. With fewer than three other clips, pink noise takes the place of babble."""

    name: ClassVar[str] = "noise"

    def __init__(self, params: NoiseParams, sample_rate: int) -> None:
        self._params = params
        self._sample_rate = sample_rate

    def draw(self, generator: np.random.Generator, clip: Clip) -> NoiseValues | None:
        chance, kind_draw, snr, seed, *voice_draws = generator.random(4 + BABBLE_VOICES)
        if chance >= self._params.probability:
            return None
        kind = wanted = self._params.kinds[int(kind_draw * len(self._params.kinds))]
        voices: list[str] = []
        if wanted == "babble":
            candidates = sorted(set(clip.others) - {clip.utterance_id})
            if len(candidates) < BABBLE_VOICES:
                kind = "pink"
            else:
                voices = [candidates.pop(int(draw * len(candidates))) for draw in voice_draws]
        return NoiseValues(kind, between(self._params.snr_db, snr), int(seed * 2**32), tuple(voices), wanted)

    def apply(self, waveform: Waveform, values: NoiseValues, clips: Mapping[str, Waveform]) -> Waveform:
        """Adds the noise; the length is kept.

        Raises:
            ValueError: `clips` lacks voices of the babble.
        """
        missing = [name for name in values.babble if name not in clips]
        if missing:
            raise ValueError(f"the babble needs the waveforms of {', '.join(missing)}, which are not among `clips`")
        generator = np.random.default_rng(values.seed)
        match values.kind:
            case "white":
                noise = white_noise(len(waveform), generator)
            case "pink":
                noise = pink_noise(len(waveform), self._sample_rate, generator)
            case "babble":
                noise = mix_voices([clips[name] for name in values.babble], len(waveform), generator)
        return add_noise(waveform, noise, values.snr_db)


def white_noise(n_samples: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """Values of the standard normal distribution, float32 [n_samples], on every processor the same.

    `Generator.standard_normal` calls the logarithm and exponential of the system's library, which differ by processor.
    """
    # Kernels are imported where they are used: whoever reads parameters imports this module, and numba takes half a second.
    from pipeline.augmentation.kernels import normal_values

    noise = np.empty(n_samples, np.float32)
    normal_values(generator.bit_generator.random_raw((n_samples + 1) // 2), noise)
    return noise


def pink_noise(n_samples: int, sample_rate: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """Gaussian noise, float32 [n_samples], of any level, whose power falls with 1/f.

    The power is within 0.35 dB of 1/f from 20 Hz to the Nyquist frequency and flat below 5 Hz.
    """
    from pipeline.augmentation.kernels import filter_cascade

    zeros, poles, n_settling = _pink_filter(sample_rate)
    noise = white_noise(n_settling + n_samples, generator)
    filter_cascade(noise, zeros, poles)
    return noise[n_settling:]


@functools.cache
def _pink_filter(sample_rate: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], int]:
    """Zeros and poles of the pink filter, and the samples that it needs to settle.

    With s = 2 sin(ω / 2), a section with its pole at the corner c and its zero at 2 c has the power (4 c² + s²) / (c² + s²). With
    corners at every second octave this falls by 3 dB per octave. The root r = (√(1 + c² / 4) − c / 2)² gives such a factor:
    |1 − r e^(−iω)|² = r (c² + s²).
    """
    lowest = 2.0 * math.pi * _LOWEST_CORNER_HZ / sample_rate
    zeros, poles = [_NYQUIST_ZERO], [_NYQUIST_POLE]
    corner = lowest
    while corner < _CORNER_BOUND:
        zeros.append(_root(2.0 * corner))
        poles.append(_root(corner))
        corner *= _CORNER_FACTOR
    return np.array(zeros), np.array(poles), math.ceil(_SETTLING / lowest)


def _root(corner: float) -> float:
    root = math.sqrt(1.0 + corner * corner / 4.0) - corner / 2.0
    return root * root


def add_noise(waveform: Waveform, noise: npt.NDArray[np.floating[Any]], snr_db: float) -> Waveform:
    """Adds noise at a signal-to-noise ratio.

    Args:
        waveform: float32 [samples].
        noise: Floats [samples], of any level.
        snr_db: Mean power of `waveform` about its mean over that of the noise added, in dB.

    Returns:
        float32 [samples], which may leave [-1, 1].
    """
    from pipeline.augmentation.kernels import add_scaled, power_about_mean

    noise_power = power_about_mean(noise)
    if noise_power == 0.0:
        return waveform
    gain = math.sqrt(power_about_mean(waveform) / noise_power) * exact_power(10, -snr_db / 20.0)
    result = np.empty(len(waveform), np.float32)
    add_scaled(waveform, noise, gain, result)
    return result


def mix_voices(voices: Sequence[Waveform], n_samples: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """Sums clips at equal power, each repeated from a random sample on; float32 [n_samples]."""
    from pipeline.augmentation.kernels import add_repeated, power_about_mean

    mix = np.zeros(n_samples, np.float32)
    for voice, start in zip(voices, generator.random(len(voices)), strict=True):
        power = power_about_mean(voice)
        if power > 0.0:
            add_repeated(voice, int(start * len(voice)), 1.0 / math.sqrt(power), mix)
    return mix
