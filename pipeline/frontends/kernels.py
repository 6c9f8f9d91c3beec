"""The compiled inner loops of single front ends; those that several parts of the pipeline use are in `pipeline.audio.kernels`.

Arithmetic is strict, as `pipeline.audio.compiled` says.
"""

from typing import Any

import numpy as np

from pipeline.audio.compiled import compiled
from pipeline.audio.kernels import decibels


@compiled
def active_power(waveform: Any, cell_length: int, gate: float) -> Any:
    """The mean square about the mean over the cells of a waveform that are loud enough.

    Args:
        waveform: float [samples], at least one.
        cell_length: Samples of a cell; the last one may have fewer.
        gate: A cell counts if its mean square is at least this share of that of the whole waveform.
    """
    n_samples = len(waveform)
    n_cells = (n_samples + cell_length - 1) // cell_length
    sums, energies = np.zeros(n_cells), np.zeros(n_cells)
    mean: Any = 0.0
    for number in range(n_cells):
        # Four sums at once, since one addition waits for the one before.
        cell = waveform[number * cell_length : (number + 1) * cell_length]
        lanes = np.zeros((2, 4))
        for i in range(len(cell)):
            value: Any = np.float64(cell[i])
            lanes[0, i % 4] += value
            lanes[1, i % 4] += value * value
        sums[number] = (lanes[0, 0] + lanes[0, 1]) + (lanes[0, 2] + lanes[0, 3])
        energies[number] = (lanes[1, 0] + lanes[1, 1]) + (lanes[1, 2] + lanes[1, 3])
        mean += sums[number]
    mean /= n_samples
    whole: Any = 0.0
    counts = np.full(n_cells, cell_length)
    counts[-1] = n_samples - (n_cells - 1) * cell_length
    for number in range(n_cells):
        about_mean = energies[number] - 2.0 * mean * sums[number] + mean * mean * counts[number]
        energies[number] = max(0.0, about_mean)
        whole += energies[number]
    threshold = gate * whole / n_samples
    energy: Any = 0.0
    n_active = 0
    for number in range(n_cells):
        if energies[number] >= threshold * counts[number]:
            energy += energies[number]
            n_active += counts[number]
    return energy / n_active


@compiled
def cosine_sums(levels: Any, cosines: Any, out: Any) -> None:
    """Products of rows with a matrix, each summed over the columns of `levels` in order.

    Args:
        levels: float [frames, filters].
        cosines: float64 [filters, coefficients].
        out: float64 [frames, coefficients], receives the products.
    """
    for row in range(len(levels)):
        coefficients = out[row]
        coefficients[:] = 0.0
        for number in range(len(cosines)):
            level: Any = np.float64(levels[row, number])
            weights = cosines[number]
            for k in range(len(coefficients)):
                coefficients[k] += level * weights[k]


@compiled
def filter_decibels(spectra: Any, first_bins: Any, offsets: Any, weights: Any, floor_db: float, out: Any) -> None:
    """The power of complex filters in dB.

    Args:
        spectra: complex128 [frames, bins].
        first_bins: int [filters], the first bin of each filter.
        offsets: int [filters + 1], where each filter's weights begin in `weights`.
        weights: complex128, the weights of all filters, one after the other.
        floor_db: Lowest value of the result.
        out: float [frames, filters], receives 10 log10 of |sum over i of weights[offset + i] spectrum[first + i]|².
    """
    n_rows, n_bins = spectra.shape
    # Eight rows at once: the sums of one row depend on each other, those of eight fill a vector unit.
    real, imaginary = np.zeros((n_bins, 8)), np.zeros((n_bins, 8))
    sums = np.zeros((2, 8))
    for first_row in range(0, n_rows, 8):
        rows = min(8, n_rows - first_row)
        for row in range(rows):
            for k in range(n_bins):
                value = spectra[first_row + row, k]
                real[k, row] = value.real
                imaginary[k, row] = value.imag
        for number in range(len(first_bins)):
            sums[:] = 0.0
            first = first_bins[number] - offsets[number]
            for i in range(offsets[number], offsets[number + 1]):
                a, b = weights[i].real, weights[i].imag
                for row in range(8):
                    sums[0, row] += a * real[first + i, row] - b * imaginary[first + i, row]
                    sums[1, row] += a * imaginary[first + i, row] + b * real[first + i, row]
            for row in range(rows):
                power = sums[0, row] * sums[0, row] + sums[1, row] * sums[1, row]
                out[first_row + row, number] = decibels(power, floor_db)
