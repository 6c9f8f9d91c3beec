"""Kind `log_mel`: the power in mel bands, in dB.

It is librosa's `power_to_db(melspectrogram(...))` with an absolute floor, computed several times faster and independent of
the number of threads.
"""

from decimal import Context, Decimal, localcontext
from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.frontends.spectra import SpectrumFrontEnd, SpectrumParams
from pipeline.frontends.triangles import nonzero_runs, triangles

# Logarithm and exponential in decimal arithmetic are rounded correctly: the corners of the triangles are the same bits on every
# processor. Those of numpy and of the C library depend on its vector units and on fused multiply-add.
_DECIMAL: Final = Context(prec=28)
_LN_6_4: Final = _DECIMAL.ln(Decimal("6.4"))


class LogMelParams(SpectrumParams):
    """Parameters of the log-Mel front end. `f_min` and `f_max` are the outer edges of the lowest and the highest band.

    Attributes:
        n_mels: Mel bands.
    """

    kind: Literal["log_mel"] = "log_mel"
    n_mels: int = Field(ge=1, le=512)

    @property
    def n_bins(self) -> int:
        """One bin per band."""
        return self.n_mels


class LogMel(SpectrumFrontEnd):
    """The log-Mel front end: the weights of a bin are a triangle of `mel_filterbank`."""

    version: ClassVar[int] = 3

    def __init__(self, params: LogMelParams) -> None:
        super().__init__(params, nonzero_runs(mel_filterbank(params)), _corners(params)[1:-1])


def hz_to_mel(hz: float) -> float:
    """A frequency in Hz on the mel scale of Slaney's Auditory Toolbox (1998).

    Linear below 1 kHz (200/3 Hz per mel), logarithmic above (27 mels for a factor of 6.4).
    """
    if hz < 1000.0:
        return 3.0 * hz / 200.0
    with localcontext(_DECIMAL):
        return float(15 + 27 * (Decimal(hz) / 1000).ln() / _LN_6_4)


def mel_to_hz(mel: float) -> float:
    """The inverse of `hz_to_mel`."""
    if mel < 15.0:
        return 200.0 * mel / 3.0
    with localcontext(_DECIMAL):
        return float(1000 * (_LN_6_4 / 27 * (Decimal(mel) - 15)).exp())


def mel_filterbank(params: LogMelParams) -> npt.NDArray[np.float32]:
    """Triangular mel filters of unit area, float32 [n_mels, 1 + n_fft // 2].

    The corners of filter m are three neighbours of `n_mels` + 2 points, evenly spaced in mel from `f_min` to `f_max`; its height
    is 2 / (upper - lower corner in Hz), which is Slaney's normalisation and librosa's default. Filters narrower than
    the distance of two FFT bins may be empty and then give the floor.
    """
    corners = _corners(params)
    filters = triangles(corners, params)
    filters *= (2.0 / (corners[2:] - corners[:-2]))[:, None]
    return filters


def _corners(params: LogMelParams) -> npt.NDArray[np.float64]:
    """Corners of the triangles in Hz, float64 [n_mels + 2]."""
    lowest, highest = hz_to_mel(params.f_min), hz_to_mel(params.f_max)
    return np.array([mel_to_hz(mel) for mel in np.linspace(lowest, highest, params.n_mels + 2).tolist()])
