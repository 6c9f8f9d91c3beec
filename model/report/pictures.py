"""Pictures of clips as PNG: the spectrogram, and the evidence that is laid over it; and `data:` URIs."""

import base64
import io
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.frontends import FeatureParams, make_front_end

ByteArray = npt.NDArray[np.uint8]

_DYNAMIC_RANGE_DB: Final = 70.0
_OVERLAY_STRENGTH: Final = 0.72
_BONA_FIDE_RGB: Final = (0, 114, 178)
_SPOOF_RGB: Final = (213, 94, 0)


def spectrogram_picture(features: npt.NDArray[np.floating[Any]]) -> ByteArray:
    """A spectrogram in grey, in which loud is dark, as is usual in phonetics.

    Args:
        features: [frames, n_bins] in dB.

    Returns:
        uint8 [n_bins, frames, 4], RGBA, the lowest band in the last row.
    """
    values = features.astype(np.float64)
    top = float(np.quantile(values, 0.999))
    loudness = ((values - top) / _DYNAMIC_RANGE_DB + 1).clip(0, 1)
    grey = np.round(255 * (1 - loudness)).astype(np.uint8).T[::-1]
    return np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1)


def evidence_picture(evidence: npt.NDArray[np.floating[Any]], *, for_bona_fide: bool) -> ByteArray:
    """A map of evidence in the colour of the class for which it is evidence.

    Args:
        evidence: [frames, n_bins] in [0, 1].
        for_bona_fide: The class.

    Returns:
        uint8 [n_bins, frames, 4], RGBA, transparent without evidence.
    """
    picture = np.empty((*evidence.T.shape, 4), dtype=np.uint8)
    picture[..., :3] = _BONA_FIDE_RGB if for_bona_fide else _SPOOF_RGB
    # The opacity has steps of four, so that a rounding difference of the map does not change the file.
    picture[..., 3] = (np.round(evidence.T[::-1] * _OVERLAY_STRENGTH * 255 / 4) * 4).astype(np.uint8)
    return picture


def frequency_ticks(params: FeatureParams) -> list[tuple[int, str]]:
    """Labels of a spectrogram's vertical axis, from its lowest bin to its highest.

    Args:
        params: The front end.

    Returns:
        Pairs of (height in per cent of the picture, frequency with its unit or number of the coefficient).
    """
    axis = make_front_end(params).bin_axis()
    ticks = []
    for height in (0, 50, 100):
        value = axis.values[round(height / 100 * (len(axis.values) - 1))]
        if axis.unit == "Hz":
            ticks.append((height, f"{value:.0f} Hz" if value < 1000 else f"{value / 1000:.1f} kHz"))
        else:
            ticks.append((height, f"{value:.0f}"))
    return ticks


def png_uri(picture: ByteArray) -> str:
    """A picture, uint8 [height, width, 4] RGBA, as a `data:` URI."""
    from matplotlib.image import imsave

    file = io.BytesIO()
    # Without the version of the library, the file depends on the picture alone.
    imsave(file, picture, format="png", metadata={"Software": ""})
    return data_uri("image/png", file.getvalue())


def data_uri(kind: str, data: bytes) -> str:
    """Bytes of a media type as a `data:` URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
