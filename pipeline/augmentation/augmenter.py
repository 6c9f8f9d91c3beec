"""Augmented copies of a clip: the parameters of all kinds of augmentation, their order, and the recipe of one copy.

`Augmenter.draw` decides from (seed, utterance id, copy) alone, so neither order nor workers matter. `Augmenter.apply` is a
pure function of waveforms and recipe. Both classes go through exactly the same steps.

A new kind takes three steps: a module with its parameters and a subclass of `Augmentation`, a field in `AugmentParams`, and
its place in `augmentations`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from pydantic import Field

from pipeline.audio import Waveform
from pipeline.audio.level import limit_peak
from pipeline.augmentation.band_limit import BandLimit, BandLimitParams
from pipeline.augmentation.base import Augmentation, Clip, Values, generator_of
from pipeline.augmentation.codec import Codec, CodecParams
from pipeline.augmentation.copy_synthesis.params import CopySynthesisParams
from pipeline.augmentation.noise import Noise, NoiseParams
from pipeline.augmentation.pitch_tempo import PitchShiftParams, PitchTempo, TimeStretchParams
from pipeline.augmentation.rawboost import RawBoost, RawBoostParams
from pipeline.augmentation.room import Room, RoomParams
from pipeline.section import Section, Seed

# Where these kinds begin in the one sequence of random values that they share. Every other kind has a sequence of its own
# and does not belong here: an entry that is added or changed alters the draws of existing feature stores.
_FIRST_SHARED_VALUE: Final = {PitchTempo.name: 0, Noise.name: 4}


class AugmentParams(Section):
    """Augmentation of the train split.

    Attributes:
        copies: Augmented copies per clip, beside the original (copy 0).
        seed: Every draw comes from (seed, utterance id, copy).
        copy_synthesis: Twins of bona fide clips, the one step that is not for both classes alike.
    """

    copies: int = Field(ge=0, le=100)
    seed: Seed
    pitch_shift: PitchShiftParams
    time_stretch: TimeStretchParams
    room: RoomParams
    noise: NoiseParams
    rawboost: RawBoostParams
    band_limit: BandLimitParams
    codec: CodecParams
    copy_synthesis: CopySynthesisParams


def augmentations(params: AugmentParams, sample_rate: int) -> tuple[Augmentation[Any], ...]:
    """All kinds, in the order in which they are applied: that of the way from the speaker to the recording."""
    return (
        PitchTempo(params.pitch_shift, params.time_stretch, sample_rate),
        Room(params.room, sample_rate),
        Noise(params.noise, sample_rate),
        RawBoost(params.rawboost, sample_rate),
        BandLimit(params.band_limit, sample_rate),
        Codec(params.codec, sample_rate),
    )


@dataclass(frozen=True)
class Recipe:
    """What happens to one augmented copy.

    Attributes:
        values: Drawn values by the name of their kind; a kind that is left out is absent.
    """

    values: Mapping[str, Values] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The entries of all kinds for the index, JSON values; `{}` if nothing was drawn."""
        entries: dict[str, Any] = {}
        for values in self.values.values():
            entries |= values.to_dict()
        return entries


class Augmenter:
    """Draws and applies augmentation for one set of parameters.

    Args:
        params: Of all kinds.
        sample_rate: Of every waveform, Hz.
    """

    def __init__(self, params: AugmentParams, sample_rate: int) -> None:
        self._seed = params.seed
        self._augmentations = augmentations(params, sample_rate)

    def draw(self, utterance_id: str, copy: int, others: Collection[str] = ()) -> Recipe:
        """Draws what happens to one copy of an utterance.

        Args:
            utterance_id: Whose copy.
            copy: Number of the copy, from 1; copy 0 is the original and is never augmented.
            others: Ids of the clips that may be mixed in, in any order; `utterance_id` among them is passed over.
        """
        clip = Clip(utterance_id, others)
        drawn = {}
        for augmentation in self._augmentations:
            generator = _generator(self._seed, utterance_id, copy, augmentation.name)
            values = augmentation.draw(generator, clip)
            if values is not None:
                drawn[augmentation.name] = values
        return Recipe(drawn)

    def apply(self, waveform: Waveform, recipe: Recipe, clips: Mapping[str, Waveform]) -> Waveform:
        """Applies a recipe in the order of the kinds, then a limit on the peak.

        A result that leaves [-1, 1] is scaled down to a peak of 1 as a whole, which changes neither the SNR nor the shape.

        Args:
            waveform: float32 [samples], in [-1, 1].
            recipe: From `draw`.
            clips: Waveforms, as decoded (never augmented ones), by utterance id: at least those that the recipe names.

        Returns:
            float32 [samples], in [-1, 1].
        """
        for augmentation in self._augmentations:
            if augmentation.name in recipe.values:
                waveform = augmentation.apply(waveform, recipe.values[augmentation.name], clips)
        return limit_peak(waveform)

    def describe(self) -> str:
        """The parameters of all kinds in one line for people."""
        return ", ".join(augmentation.describe() for augmentation in self._augmentations)


def _generator(seed: int, utterance_id: str, copy: int, name: str) -> np.random.Generator:
    """The random values of one kind for one copy, on every platform and in every process the same.

    The values of a kind depend on no other kind.
    """
    first = _FIRST_SHARED_VALUE.get(name)
    if first is not None:
        return generator_of(seed, utterance_id, copy, skipped=first)
    return generator_of(seed, utterance_id, copy, name)
