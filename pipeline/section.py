"""What every section of params.yaml is made of: a strict, frozen model, and the ranges that several sections use."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"the lower bound {value[0]} is above the upper bound {value[1]}")
    return value


Probability = Annotated[float, Field(ge=0.0, le=1.0)]
SemitoneRange = Annotated[
    tuple[Annotated[float, Field(ge=-24, le=24)], Annotated[float, Field(ge=-24, le=24)]], AfterValidator(_ordered)
]
RateRange = Annotated[
    tuple[Annotated[float, Field(ge=0.25, le=4.0)], Annotated[float, Field(ge=0.25, le=4.0)]], AfterValidator(_ordered)
]
DecibelRange = Annotated[
    tuple[Annotated[float, Field(ge=-20, le=100)], Annotated[float, Field(ge=-20, le=100)]], AfterValidator(_ordered)
]


class Section(BaseModel):
    """One section of params.yaml; an unknown key or a value of another type is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
