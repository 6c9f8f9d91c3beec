"""Kind `lfcc`: linear frequency cepstral coefficients, with their deltas.

They are the cepstra of Sahidullah, Kinnunen and Hanilçi, "A comparison of features for synthetic speech detection" (Interspeech
2015), in dB: triangular filters evenly spaced in Hz, their power in dB, an orthonormal DCT-II. Deltas are the regression of
the HTK Book (equation 5.16) over two frames on each side, and those of the deltas in turn.
"""

from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pipeline.audio import Waveform
from pipeline.audio.windows import cosines
from pipeline.frontends.base import BinAxis
from pipeline.frontends.spectra import SpectrumFrontEnd, SpectrumParams
from pipeline.frontends.triangles import nonzero_runs, triangles

DELTA_FRAMES: Final = 2
"""Frames on each side of a delta, HTK's default."""


class LfccParams(SpectrumParams):
    """Parameters of the cepstral front end. `f_min` and `f_max` are the outer edges of the lowest and the highest filter.

    Attributes:
        n_filters: Triangular filters.
        n_coefficients: Cepstral coefficients that are kept, from the one of the level on.
        deltas: 1 appends the deltas of all coefficients, 2 also the deltas of the deltas, 0 neither.
    """

    kind: Literal["lfcc"]
    n_filters: int = Field(ge=2, le=512)
    n_coefficients: int = Field(ge=1, le=512)
    deltas: Literal[0, 1, 2]

    @property
    def n_bins(self) -> int:
        """Coefficients, and as many deltas of each order."""
        return self.n_coefficients * (1 + self.deltas)

    @model_validator(mode="after")
    def _filters_suffice(self) -> "LfccParams":
        if self.n_coefficients > self.n_filters:
            raise ValueError(f"n_coefficients {self.n_coefficients} must not exceed n_filters {self.n_filters}")
        empty = int((linear_filterbank(self).max(axis=1) == 0.0).sum())
        if empty:
            raise ValueError(
                f"{empty} of the {self.n_filters} filters between f_min {self.f_min} and f_max {self.f_max} hold no FFT bin: "
                f"bins are {self.sample_rate / self.n_fft:g} Hz apart; lower n_filters or raise n_fft"
            )
        return self


class Lfcc(SpectrumFrontEnd):
    """The cepstral front end. The bins are the coefficients, then their deltas, then the deltas of those."""

    version: ClassVar[int] = 1

    def __init__(self, params: LfccParams) -> None:
        filters = linear_filterbank(params)
        super().__init__(params, nonzero_runs(filters), _corners(params)[1:-1])
        self._deltas = params.deltas
        self._cosines = dct_matrix(params.n_filters, params.n_coefficients)

    def bin_axis(self) -> BinAxis:
        """The number of each coefficient; deltas have the numbers after those."""
        return BinAxis("coefficient", "", np.arange(self.n_bins, dtype=np.float64))

    def level_response(self) -> npt.NDArray[np.float32]:
        """What each bin gains where the waveform is 1 dB louder: the root of `n_filters` in the first one, 0 elsewhere."""
        response = np.zeros(self.n_bins, np.float32)
        response[0] = len(self._cosines) ** 0.5
        return response

    def __call__(self, waveform: Waveform) -> npt.NDArray[np.float32]:
        """Computes the coefficients of a clip, float32 [frames, n_bins], in dB."""
        from pipeline.frontends.kernels import cosine_sums

        levels = super().__call__(waveform)
        coefficients = np.empty((len(levels), self._cosines.shape[1]))
        cosine_sums(levels, self._cosines, coefficients)
        parts = [coefficients]
        for _ in range(self._deltas):
            parts.append(deltas(parts[-1]))
        return np.concatenate(parts, axis=1, dtype=np.float32)


def linear_filterbank(params: LfccParams) -> npt.NDArray[np.float32]:
    """Triangular filters of height 1, evenly spaced from `f_min` to `f_max`, float32 [n_filters, 1 + n_fft // 2]."""
    return triangles(_corners(params), params)


def dct_matrix(n_filters: int, n_coefficients: int) -> npt.NDArray[np.float64]:
    """The first columns of the orthonormal DCT-II, float64 [n_filters, n_coefficients].

    Coefficient k of values x is √(2 / n) Σ x[m] cos(π k (2 m + 1) / (2 n)), and that of k = 0 divided by √2.
    """
    phases = (2 * np.arange(n_filters)[:, None] + 1) * np.arange(n_coefficients)
    matrix: npt.NDArray[np.float64] = np.sqrt(2.0 / n_filters) * cosines(phases / (4.0 * n_filters))
    matrix[:, 0] /= np.sqrt(2.0)
    return matrix


def deltas(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Slopes per frame, Σ i (x[t + i] − x[t − i]) / (2 Σ i²) over i = 1, 2, float64 [frames, n]; ends are repeated."""
    numbers = np.arange(len(values))
    slopes: npt.NDArray[np.float64] = np.zeros_like(values)
    for distance in range(1, DELTA_FRAMES + 1):
        later = values[np.minimum(numbers + distance, len(values) - 1)]
        slopes += distance * (later - values[np.maximum(numbers - distance, 0)])
    slopes /= 2.0 * sum(distance**2 for distance in range(1, DELTA_FRAMES + 1))
    return slopes


def _corners(params: LfccParams) -> npt.NDArray[np.float64]:
    """Corners of the triangles in Hz, float64 [n_filters + 2]."""
    return np.linspace(params.f_min, params.f_max, params.n_filters + 2)
