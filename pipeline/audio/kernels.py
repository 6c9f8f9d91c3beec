"""The inner loops of signal processing, compiled by numba.

Arithmetic is strict (no fast-math, no threads): every sum runs in the order of the code, on every machine. The compiled
code is cached beside the module or in the user's cache folder, so only the first process on a machine compiles.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _compiled(function: _Function) -> _Function:
    options = {"nogil": True, "error_model": "numpy"}
    try:
        compiled: _Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        # No folder can hold the cache, as in a container with a read-only file system: every process compiles.
        compiled = numba.njit(**options)(function)
    return compiled


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


@_compiled
def phase_vocoder(spectra: Any, rate: float, out: Any) -> None:
    """Resamples a short-time spectrum in time, keeping each bin's phase advance from frame to frame.

    Output frame t lies at input position t × rate. Its magnitude is interpolated between the two input frames around that
    position, and its phase is the sum of their phase differences so far (Laroche and Dolson 1999; Ellis 2002, as in
    librosa). A phase is kept as a unit phasor, float64: multiplying by u₁ conj(u₀) adds the difference without
    trigonometric functions. librosa removes multiples of 2π from the difference; for a phasor they make no difference.

    Args:
        spectra: complex [frames, bins].
        rate: Input frames per output frame.
        out: complex [output frames, bins], at most ceil(frames / rate) of them.
    """
    n_frames, n_bins = spectra.shape
    phase_real = np.ones(n_bins)
    phase_imag = np.zeros(n_bins)
    for k in range(n_bins):
        real: Any = np.float64(spectra[0, k].real)
        imag: Any = np.float64(spectra[0, k].imag)
        magnitude = np.sqrt(real * real + imag * imag)
        if magnitude > 0.0:
            phase_real[k] = real / magnitude
            phase_imag[k] = imag / magnitude
    for t in range(out.shape[0]):
        position = t * rate
        before = int(position)
        weight = position - before
        for k in range(n_bins):
            real_0: Any = np.float64(spectra[before, k].real)
            imag_0: Any = np.float64(spectra[before, k].imag)
            real_1: Any = 0.0
            imag_1: Any = 0.0
            if before + 1 < n_frames:
                real_1 = np.float64(spectra[before + 1, k].real)
                imag_1 = np.float64(spectra[before + 1, k].imag)
            magnitude_0: Any = np.sqrt(real_0 * real_0 + imag_0 * imag_0)
            magnitude_1: Any = np.sqrt(real_1 * real_1 + imag_1 * imag_1)
            magnitude = (1.0 - weight) * magnitude_0 + weight * magnitude_1
            out[t, k] = complex(phase_real[k] * magnitude, phase_imag[k] * magnitude)
            # The phase of a bin without energy counts as 0.
            if magnitude_0 == 0.0:
                real_0 = 1.0
                magnitude_0 = 1.0
            if magnitude_1 == 0.0:
                real_1 = 1.0
                magnitude_1 = 1.0
            scale = 1.0 / (magnitude_0 * magnitude_1)
            step_real = (real_1 * real_0 + imag_1 * imag_0) * scale
            step_imag = (imag_1 * real_0 - real_1 * imag_0) * scale
            turned_real = phase_real[k] * step_real - phase_imag[k] * step_imag
            phase_imag[k] = phase_real[k] * step_imag + phase_imag[k] * step_real
            phase_real[k] = turned_real


@_compiled
def overlap_add(frames: Any, window: Any, hop_length: int, out: Any, window_energy: Any) -> None:
    """Adds windowed frames to `out` and the squared window to `window_energy`; both must be long enough and start as zeros."""
    for row in range(frames.shape[0]):
        start = row * hop_length
        for i in range(frames.shape[1]):
            out[start + i] += frames[row, i] * window[i]
            window_energy[start + i] += window[i] * window[i]
