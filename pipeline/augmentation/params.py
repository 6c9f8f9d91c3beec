"""The section `augment` of params.yaml, typed and frozen: the parameters of every kind.

Nothing that computes is imported here: whoever reads parameters imports this module.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.augmentation.copy_synthesis.params import CopySynthesisParams
from pipeline.section import DecibelRange, Probability, Section, Seed, ordered

Semitones = Annotated[float, Field(ge=-24, le=24)]
Rate = Annotated[float, Field(ge=0.25, le=4.0)]


class PitchShiftParams(Section):
    """Pitch shift by a number of semitones drawn uniformly; the length stays."""

    probability: Probability
    semitones: Annotated[tuple[Semitones, Semitones], AfterValidator(ordered)]

    def describe(self) -> str:
        """The parameters in a few words for people."""
        low, high = self.semitones
        return f"pitch {low:g} to {high:g} semitones (p {self.probability:g})"


class TimeStretchParams(Section):
    """Time stretch by a rate drawn uniformly; above 1 is faster, the pitch stays."""

    probability: Probability
    rate: Annotated[tuple[Rate, Rate], AfterValidator(ordered)]

    def describe(self) -> str:
        """The parameters in a few words for people."""
        low, high = self.rate
        return f"tempo {low:g} to {high:g} (p {self.probability:g})"


ReverberationTime = Annotated[float, Field(ge=0.05, le=3.0)]


class RoomParams(Section):
    """A room whose reverberation time in seconds and direct-to-reverberant ratio in dB are drawn uniformly."""

    probability: Probability
    rt60_s: Annotated[tuple[ReverberationTime, ReverberationTime], AfterValidator(ordered)]
    direct_to_reverberant_db: DecibelRange

    def describe(self) -> str:
        """The parameters in a few words for people."""
        (short, long), (low, high) = self.rt60_s, self.direct_to_reverberant_db
        return f"room of RT60 {short:g} to {long:g} s, {low:g} to {high:g} dB direct (p {self.probability:g})"


NoiseKind = Literal["white", "pink", "babble"]
"""White; pink: power falls with 1/f from 20 Hz on; babble: other clips together."""


class NoiseParams(Section):
    """Added noise at a signal-to-noise ratio in dB drawn uniformly, of a kind drawn evenly from `kinds`."""

    probability: Probability
    snr_db: DecibelRange
    kinds: Annotated[tuple[NoiseKind, ...], Field(min_length=1)]

    def describe(self) -> str:
        """The parameters in a few words for people."""
        low, high = self.snr_db
        return f"{'/'.join(self.kinds)} noise at {low:g} to {high:g} dB (p {self.probability:g})"


RawBoostKind = Literal["convolutive", "impulsive", "stationary"]


class RawBoostParams(Section):
    """All of `kinds`, applied in series: linear and non-linear convolutive, impulsive, stationary noise."""

    probability: Probability
    kinds: Annotated[tuple[RawBoostKind, ...], Field(min_length=1)]

    def describe(self) -> str:
        """The parameters in a few words for people."""
        return f"RawBoost {'+'.join(self.kinds)} (p {self.probability:g})"


BandKind = Literal["low_pass", "telephone", "8_khz"]
"""Low-pass filter; the band of telephony, 300 to 3400 Hz; resampled to 8 kHz and back, which keeps up to about 3.7 kHz."""


Cutoff = Annotated[float, Field(ge=500.0, le=96000.0)]


class BandLimitParams(Section):
    """A limit of a kind drawn evenly from `kinds`; the cutoff of `low_pass` in Hz is drawn uniformly."""

    probability: Probability
    kinds: Annotated[tuple[BandKind, ...], Field(min_length=1)]
    cutoff_hz: Annotated[tuple[Cutoff, Cutoff], AfterValidator(ordered)]

    def describe(self) -> str:
        """The parameters in a few words for people."""
        low, high = self.cutoff_hz
        return f"band limit {'/'.join(self.kinds)} at {low:g} to {high:g} Hz (p {self.probability:g})"


CodecKind = Literal["mu_law", "a_law", "gsm", "mp3", "opus", "vorbis", "aac"]


class CodecParams(Section):
    """A codec drawn evenly from `kinds`."""

    probability: Probability
    kinds: Annotated[tuple[CodecKind, ...], Field(min_length=1)]

    def describe(self) -> str:
        """The parameters in a few words for people."""
        return f"codec {'/'.join(self.kinds)} (p {self.probability:g})"


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

    @property
    def libraries(self) -> tuple[str, ...]:
        """The optional packages whose version decides the values of the copies."""
        return ("av",) if self.copies and self.codec.probability > 0.0 and "aac" in self.codec.kinds else ()

    def describe(self) -> str:
        """The parameters in a few words for people."""
        steps = (
            self.pitch_shift,
            self.time_stretch,
            self.room,
            self.noise,
            self.rawboost,
            self.band_limit,
            self.codec,
        )
        return ", ".join(step.describe() for step in steps)
