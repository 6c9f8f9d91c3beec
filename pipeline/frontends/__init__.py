"""Front ends, one module per kind, chosen by `features.kind`: how a waveform becomes a spectrogram in dB.

This module is the registry: the union of the kinds' parameters, and the front end that parameters ask for. Decoding and
augmentation are not here, nor are the Keras layers that compute the same (`model.export`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Tag

from pipeline.frontends.base import BinAxis, FrontEnd, FrontEndParams
from pipeline.frontends.cqt import Cqt, CqtParams
from pipeline.frontends.lfcc import Lfcc, LfccParams
from pipeline.frontends.log_linear import LogLinear, LogLinearParams
from pipeline.frontends.log_mel import LogMel, LogMelParams
from pipeline.parameter_file import parse_params
from pipeline.section import Section, by_kind

__all__ = [
    "BinAxis",
    "FeatureParams",
    "FrontEnd",
    "FrontEndParams",
    "front_end_version",
    "make_front_end",
    "parse_features",
]

FeatureParams = Annotated[
    Annotated[LogMelParams, Tag("log_mel")]
    | Annotated[LogLinearParams, Tag("log_linear")]
    | Annotated[LfccParams, Tag("lfcc")]
    | Annotated[CqtParams, Tag("cqt")],
    by_kind("log_mel"),
]
"""The section `features`, of the kind that its key `kind` names; `log_mel` where it names none."""

_FRONT_ENDS: Final[Mapping[str, Any]] = {"log_mel": LogMel, "log_linear": LogLinear, "lfcc": Lfcc, "cqt": Cqt}


def make_front_end(params: FeatureParams) -> FrontEnd:
    """The front end of these parameters."""
    front_end: FrontEnd = _FRONT_ENDS[params.kind](params)
    return front_end


def front_end_version(kind: str) -> int:
    """The version of a kind's values; stores and models state it."""
    return int(_FRONT_ENDS[kind].version)


class _FeaturesSection(Section):
    features: FeatureParams


def parse_features(content: Mapping[str, Any], where: str) -> FeatureParams:
    """Checks the parameters of a front end as a store or a model states them; `where` names it in errors.

    Raises:
        ParamsError: A key is unknown, missing, of a wrong type or out of range.
    """
    return parse_params({"features": dict(content)}, where, _FeaturesSection).features
