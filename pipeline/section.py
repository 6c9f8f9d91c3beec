"""What sections of params.yaml are made of: a strict, frozen model, the choice by `kind`, and keys and ranges in common use."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field


def ordered(value: tuple[float, float]) -> tuple[float, float]:
    """A pydantic validator of ranges: the lower bound comes first.

    Raises:
        ValueError: It does not; both are named.
    """
    if value[0] > value[1]:
        raise ValueError(f"the lower bound {value[0]} is above the upper bound {value[1]}")
    return value


Decibels = Annotated[float, Field(ge=-20, le=100)]
DecibelRange = Annotated[tuple[Decibels, Decibels], AfterValidator(ordered)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""Numpy and Keras take seeds of 32 bits."""
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


MAX_DURATION_S: Final = 300.0
"""Default of `features.max_duration_s`. Stores and models made before that key have it, so it never changes."""


class Section(BaseModel):
    """One section of params.yaml; an unknown key, a value of another type, NaN or infinity is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ClipParams(Section):
    """Which clips are used and at which rate: keys of the section `features` that every front end has.

    Attributes:
        sample_rate: Hz; clips of other rates are resampled.
        min_duration_s: Shorter clips are rejected, in seconds.
        max_duration_s: Longer clips are rejected before they are decoded as a whole, in seconds; it bounds the memory of a clip.
        silence_db: Clips whose peak about the mean stays below this level are rejected, in dB relative to full scale.
        max_reject_fraction: The stage fails above this share of rejects, in [0, 1].
    """

    sample_rate: int = Field(ge=4000, le=192000)
    min_duration_s: float = Field(ge=0.0, le=60.0)
    max_duration_s: float = Field(default=MAX_DURATION_S, ge=1.0, le=86400.0)
    silence_db: float = Field(ge=-200.0, le=0.0)
    max_reject_fraction: Probability


def by_kind(default: str) -> Discriminator:
    """Chooses the member of a tagged union of sections by their key `kind`.

    Members carry a pydantic `Tag` with the value of `kind` that they stand for.

    Args:
        default: The kind of a section that does not name one.
    """

    def kind_of(content: Any) -> Any:
        if isinstance(content, Mapping):
            return content.get("kind", default)
        return getattr(content, "kind", default)

    return Discriminator(kind_of)
