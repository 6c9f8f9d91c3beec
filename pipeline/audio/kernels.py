"""The inner loops of signal processing, compiled by numba.

Arithmetic is strict (no fast-math, no threads): every sum runs in the order of the code, on every machine. The compiled
code is cached beside the module or in the user's cache folder, so only the first process on a machine compiles.
"""

from typing import Any

import numpy as np

from pipeline.audio.compiled import compiled as _compiled


@_compiled
def windowed_frames(signal: Any, window: Any, hop_length: int, first: int, out: Any) -> None:
    """Fills `out` [frames, window] with frame `first` and the frames after it, each multiplied by the window."""
    for row in range(out.shape[0]):
        start = (first + row) * hop_length
        for i in range(out.shape[1]):
            out[row, i] = signal[start + i] * window[i]


@_compiled
def band_powers(spectra: Any, first_bins: Any, offsets: Any, weights: Any, out: Any) -> None:
    """Weighted sums of spectral power for bands that are narrow runs of bins.

    Args:
        spectra: complex [frames, bins].
        first_bins: int [bands], the first bin of each band.
        offsets: int [bands + 1], where each band's weights begin in `weights`.
        weights: float64, the weights of all bands, one after the other.
        out: float [frames, bands], receives sum over i of weights[offset + i] |spectrum[first + i]|².
    """
    n_rows, n_bins = spectra.shape
    # Eight rows at once: the sums of one row depend on each other, those of eight rows fill a vector unit.
    powers = np.zeros((n_bins, 8))
    totals = np.zeros(8)
    for first_row in range(0, n_rows, 8):
        rows = min(8, n_rows - first_row)
        for row in range(rows):
            for k in range(n_bins):
                value = spectra[first_row + row, k]
                powers[k, row] = value.real * value.real + value.imag * value.imag
        for band in range(len(first_bins)):
            totals[:] = 0.0
            shift = first_bins[band] - offsets[band]
            for i in range(offsets[band], offsets[band + 1]):
                for row in range(8):
                    totals[row] += weights[i] * powers[i + shift, row]
            for row in range(rows):
                out[first_row + row, band] = totals[row]


@_compiled
def cell_energies(waveform: Any, cell_length: int, out: Any) -> None:
    """Sums of squares of adjacent cells, one for each value of `out` (float64); the last cell extends to the end."""
    for cell in range(len(out)):
        total: Any = 0.0
        end = len(waveform) if cell == len(out) - 1 else (cell + 1) * cell_length
        for i in range(cell * cell_length, end):
            value: Any = np.float64(waveform[i])
            total += value * value
        out[cell] = total
