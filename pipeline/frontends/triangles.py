"""Triangular filters over the bins of an FFT, for kinds whose bins are such bands."""

import numpy as np
import numpy.typing as npt

from pipeline.frontends.spectra import Bands, SpectrumParams


def triangles(corners: npt.NDArray[np.float64], params: SpectrumParams) -> npt.NDArray[np.float32]:
    """Triangles of height 1 between neighbouring corners.

    Args:
        corners: float64 [n_filters + 2], rising, in Hz. Filter m rises from corner m to m + 1 and falls to m + 2.
        params: Sample rate and FFT length.

    Returns:
        The weights of the FFT bins, float32 [n_filters, 1 + n_fft // 2].
    """
    bins = np.arange(1 + params.n_fft // 2) * (params.sample_rate / params.n_fft)
    widths = np.diff(corners)
    rising = (bins - corners[:-2, None]) / widths[:-1, None]
    falling = (corners[2:, None] - bins) / widths[1:, None]
    filters: npt.NDArray[np.float32] = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    return filters


def nonzero_runs(filters: npt.NDArray[np.float32]) -> Bands:
    """The weights above 0 of each row; they are next to one another."""
    used = filters > 0.0
    lengths = np.where(used.any(axis=1), filters.shape[1] - used[:, ::-1].argmax(axis=1) - used.argmax(axis=1), 0)
    return Bands(used.argmax(axis=1), np.concatenate([[0], np.cumsum(lengths)]), filters[used].astype(np.float64))
