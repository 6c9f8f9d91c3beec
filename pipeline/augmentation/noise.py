"""Added noise: white, pink or babble, at a drawn signal-to-noise ratio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import scipy.fft
from pydantic import Field

from pipeline.audio import Waveform
from pipeline.augmentation.base import Augmentation, Clip, between
from pipeline.section import DecibelRange, Probability, Section

NoiseKind = Literal["white", "pink", "babble"]
"""White; pink: power falls with 1/f, flat below 20 Hz; babble: other clips together."""

BABBLE_VOICES: Final = 3

_PINK_FROM_HZ = 20.0


class NoiseParams(Section):
    """Added noise at a signal-to-noise ratio in dB drawn uniformly, of a kind drawn evenly from `kinds`."""

    probability: Probability
    snr_db: DecibelRange
    kinds: Annotated[tuple[NoiseKind, ...], Field(min_length=1)]


@dataclass(frozen=True)
class NoiseValues:
    """Noise to add.

    Attributes:
        kind: What is added.
        snr_db: Mean power of the whole clip over that of the noise, in dB.
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
                noise = generator.standard_normal(len(waveform))
            case "pink":
                noise = pink_noise(len(waveform), self._sample_rate, generator)
            case "babble":
                noise = mix_voices([clips[name] for name in values.babble], len(waveform), generator)
        return add_noise(waveform, noise, values.snr_db)

    def describe(self) -> str:
        low, high = self._params.snr_db
        kinds = "/".join(self._params.kinds)
        return f"{kinds} noise at {low:g} to {high:g} dB (p {self._params.probability:g})"


def pink_noise(n_samples: int, sample_rate: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Gaussian noise, float64 [n_samples], whose power falls with 1/f from 20 Hz on and is flat below."""
    # A length for which the FFT is fast; the end is cut off.
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


def mix_voices(voices: Sequence[Waveform], n_samples: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Sums clips at equal power, each repeated from a random sample on; float64 [n_samples]."""
    mix = np.zeros(n_samples)
    for voice, start in zip(voices, generator.random(len(voices)), strict=True):
        power = _mean_power(voice)
        if power > 0.0:
            mix += np.resize(np.roll(voice, -int(start * len(voice))), n_samples) / np.sqrt(power)
    return mix


def _mean_power(waveform: npt.NDArray[np.floating[Any]]) -> float:
    return float(np.mean(np.square(waveform, dtype=np.float64)))
