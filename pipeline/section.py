"""What every section of params.yaml is made of: a strict, frozen model, and the ranges that several sections use."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


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
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """One section of params.yaml; an unknown key or a value of another type is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
