"""The section `augment.copy_synthesis` of params.yaml."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from pipeline.section import Section

TwinKind = Literal[
    "griffin_lim",
    "source_filter",
    "psola",
    "harmonics_noise",
    "lpc",
    "smoothed_magnitude",
    "mel_magnitude",
    "spectral_images",
    "envelope_warp",
    "neural_vocoder",
]
"""The kinds of copy-synthesis; `pipeline.augmentation.copy_synthesis.synthesizer` has a class for each."""

TWIN_KINDS: tuple[TwinKind, ...] = get_args(TwinKind)


class CopySynthesisParams(Section):
    """Twins of the bona fide clips of train, which are resynthesised and labelled as spoof.

    Attributes:
        copies: Twins of the original and of every augmented copy of a bona fide clip; 0 for none.
        kinds: How they are made, drawn evenly.
    """

    copies: int = Field(ge=0, le=20)
    kinds: Annotated[tuple[TwinKind, ...], Field(min_length=1)]

    @field_validator("kinds")
    @classmethod
    def _each_once(cls, kinds: tuple[TwinKind, ...]) -> tuple[TwinKind, ...]:
        if len(set(kinds)) < len(kinds):
            raise ValueError("a kind is named twice")
        return kinds
