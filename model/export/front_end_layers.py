"""The Keras layer of each kind of front end."""

from collections.abc import Mapping
from typing import Any, Final

from model.export.cqt_layer import CqtLayer
from model.export.front_end_layer import FrontEndLayer
from model.export.lfcc_layer import LfccLayer
from model.export.log_linear_layer import LogLinearLayer
from model.export.log_mel_layer import LogMelLayer
from pipeline.frontends import FeatureParams

_LAYERS: Final[Mapping[str, type[FrontEndLayer]]] = {
    "log_mel": LogMelLayer,
    "log_linear": LogLinearLayer,
    "lfcc": LfccLayer,
    "cqt": CqtLayer,
}


def front_end_layer(params: FeatureParams, **options: Any) -> FrontEndLayer:
    """The layer that computes what `pipeline.frontends.make_front_end(params)` does.

    Args:
        params: The front end.
        options: Of the Keras layer, such as `name`.

    Returns:
        A layer from float32 [batch, samples] in [-1, 1] to float32 [batch, frames, n_bins] in dB.
    """
    return _LAYERS[params.kind](params, **options)
