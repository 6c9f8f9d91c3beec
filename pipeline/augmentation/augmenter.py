"""Augmentation of waveforms: pitch shift, time stretch and added noise, drawn per utterance and copy.

`Augmenter.draw` decides from (seed, utterance id, copy) alone, so neither order nor workers matter, and a changed probability
of one kind leaves the draws of the others as they were. `Augmenter.apply` is a pure function of the waveform and what was
drawn; both classes go through exactly the same steps.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.audio import Waveform
from pipeline.audio.decode import limit_peak
from pipeline.augmentation.noise import _mix_voices, add_noise, pink_noise
from pipeline.augmentation.pitch_tempo import change_pitch_and_tempo
from pipeline.params import AugmentParams, NoiseKind

BABBLE_VOICES: Final = 3

_DECIMALS = 4
_N_DRAWS = 8


@dataclass(frozen=True)
class Noise:
    """Noise to add.

    Attributes:
        kind: White, pink (power falls with 1/f, flat below 20 Hz) or babble (other clips together).
        snr_db: Mean power of the whole clip over that of the noise, in dB.
        seed: Of the generator that makes the noise, or that cuts the voices of the babble.
        babble: Utterance ids of the babble's voices; empty for other kinds.
        wanted: The kind that was drawn; differs from `kind` where too few clips for a babble were at hand.
    """

    kind: NoiseKind
    snr_db: float
    seed: int
    babble: tuple[str, ...]
    wanted: NoiseKind


@dataclass(frozen=True)
class Drawn:
    """What happens to one augmented copy; None where a step is left out.

    Attributes:
        pitch_shift_semitones: Above 0 is higher.
        time_stretch_rate: Above 1 is faster and shorter.
        noise: The noise to add, last.
    """

    pitch_shift_semitones: float | None = None
    time_stretch_rate: float | None = None
    noise: Noise | None = None

    @property
    def babble(self) -> tuple[str, ...]:
        """Utterance ids whose waveforms `Augmenter.apply` needs, in its order."""
        return self.noise.babble if self.noise else ()

    def to_dict(self) -> dict[str, Any]:
        """The drawn values for the index, without the steps left out; `{}` if nothing was drawn."""
        drawn: dict[str, Any] = {}
        if self.pitch_shift_semitones is not None:
            drawn["pitch_shift_semitones"] = self.pitch_shift_semitones
        if self.time_stretch_rate is not None:
            drawn["time_stretch_rate"] = self.time_stretch_rate
        if self.noise is not None:
            noise: dict[str, Any] = {"kind": self.noise.kind, "snr_db": self.noise.snr_db, "seed": self.noise.seed}
            if self.noise.babble:
                noise["babble"] = list(self.noise.babble)
            if self.noise.wanted != self.noise.kind:
                noise["instead_of"] = self.noise.wanted
            drawn["noise"] = noise
        return drawn

    def to_json(self) -> str:
        """`to_dict` as canonical JSON: sorted keys, no blanks."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Augmenter:
    """Draws and applies augmentation for one set of parameters."""

    def __init__(self, params: AugmentParams, sample_rate: int) -> None:
        self.params = params
        self.sample_rate = sample_rate

    def draw(self, utterance_id: str, copy: int, others: Sequence[str] = ()) -> Drawn:
        """Draws what happens to one copy of an utterance.

        Every call takes the same number of random values in the same order, whatever the outcome. Values are rounded to four
        decimals, so that what the index says is what was done.

        Args:
            utterance_id: Whose copy.
            copy: Number of the copy, from 1; copy 0 is the original and is never augmented.
            others: Ids of the clips that may serve as babble, in any order; `utterance_id` among them is passed over.
                With fewer than three, pink noise takes the place of babble.
        """
        generator = np.random.default_rng(_seed_sequence(self.params.seed, utterance_id, copy))
        draws = generator.random(_N_DRAWS + BABBLE_VOICES)
        pitch, stretch, noise = self.params.pitch_shift, self.params.time_stretch, self.params.noise
        return Drawn(
            pitch_shift_semitones=_between(pitch.semitones, draws[1]) if draws[0] < pitch.probability else None,
            time_stretch_rate=_between(stretch.rate, draws[3]) if draws[2] < stretch.probability else None,
            noise=self._draw_noise(utterance_id, draws[5:], others) if draws[4] < noise.probability else None,
        )

    def apply(self, waveform: Waveform, drawn: Drawn, babble: Sequence[Waveform] = ()) -> Waveform:
        """Applies what was drawn: pitch and tempo in one pass of the phase vocoder, then noise, then a limit on the peak.

        A pitch shift keeps the length, a time stretch gives `stretched_length`. A result that leaves [-1, 1] is scaled down
        to a peak of 1 as a whole, which changes neither the SNR nor the shape.

        Args:
            waveform: float32 [samples], in [-1, 1].
            drawn: From `draw`.
            babble: The waveforms of `drawn.babble`, as decoded (never augmented ones), in that order.

        Returns:
            float32 [samples], in [-1, 1].
        """
        if len(babble) != len(drawn.babble):
            raise ValueError(f"{len(drawn.babble)} waveforms are needed for the babble, not {len(babble)}")
        result = change_pitch_and_tempo(
            waveform, drawn.pitch_shift_semitones or 0.0, drawn.time_stretch_rate or 1.0, self.sample_rate
        )
        if drawn.noise is not None:
            generator = np.random.default_rng(drawn.noise.seed)
            match drawn.noise.kind:
                case "white":
                    noise = generator.standard_normal(len(result))
                case "pink":
                    noise = pink_noise(len(result), self.sample_rate, generator)
                case "babble":
                    noise = _mix_voices(babble, len(result), generator)
            result = add_noise(result, noise, drawn.noise.snr_db)
        return limit_peak(result)

    def _draw_noise(self, utterance_id: str, draws: npt.NDArray[np.float64], others: Sequence[str]) -> Noise:
        params = self.params.noise
        kind = wanted = params.kinds[int(draws[0] * len(params.kinds))]
        voices: list[str] = []
        if wanted == "babble":
            candidates = sorted(set(others) - {utterance_id})
            if len(candidates) < BABBLE_VOICES:
                kind = "pink"
            else:
                voices = [candidates.pop(int(draw * len(candidates))) for draw in draws[3:]]
        return Noise(kind, _between(params.snr_db, draws[1]), int(draws[2] * 2**32), tuple(voices), wanted)


def _seed_sequence(seed: int, utterance_id: str, copy: int) -> np.random.SeedSequence:
    """The same on every platform and in every process, unlike Python's own hash."""
    digest = hashlib.sha256(json.dumps([seed, utterance_id, copy]).encode()).digest()
    return np.random.SeedSequence(np.frombuffer(digest, dtype="<u4").tolist())


def _between(bounds: tuple[float, float], draw: float) -> float:
    low, high = bounds
    return min(max(round(float(low + draw * (high - low)), _DECIMALS), low), high)
