"""Power spectra of the frames of a signal, in compiled loops that go from samples to results without an array in between.

Eight frames are transformed side by side (`pipeline.audio.fourier`). All results are the same on every processor.
"""

from typing import Any

import numpy as np

from pipeline.audio.compiled import compiled
from pipeline.audio.fourier import spectrum, transform
from pipeline.audio.kernels import decibels
from pipeline.audio.lanes import load, plus, scaled, store, times

# Of float64 values; see `pipeline.audio.lanes`.
_LANES = 8


@compiled
def band_decibels(
    signal: Any,
    window: Any,
    hop_length: int,
    plan: Any,
    first_bins: Any,
    offsets: Any,
    weights: Any,
    floor_db: float,
    out: Any,
) -> None:
    """Weighted sums of spectral power in dB, for bands that are narrow runs of bins, of frames centred on every hop.

    Args:
        signal: float [samples]; samples before and behind it are zeros.
        window: float64, at most the plan's length; zeros surround it.
        hop_length: Samples from frame to frame; frame t is centred on sample t × hop_length.
        plan: `pipeline.audio.fourier.Plan`, of the FFT's length.
        first_bins: int [bands], the first bin of each band, in ascending order.
        offsets: int [bands + 1], where each band's weights begin in `weights`.
        weights: float64, the weights of all bands, one after the other.
        floor_db: Lowest value of the result.
        out: float [frames, bands], receives 10 log10 of the sum over i of weights[offset + i] |spectrum[first + i]|².
    """
    n_fft, n_bands = len(plan[1]), len(first_bins)
    buffers = np.empty((4, n_fft // 2 * _LANES))
    powers = np.empty((n_fft // 2 + 1) * _LANES)
    totals = np.empty((n_bands, _LANES))
    values = totals.reshape(-1)
    lowest, highest = n_fft, 0
    for band in range(n_bands):
        lowest = min(lowest, first_bins[band])
        highest = max(highest, first_bins[band] + offsets[band + 1] - offsets[band])
    for first_row in range(0, len(out), _LANES):
        _load_frames(signal, window, hop_length, first_row * hop_length - n_fft // 2, buffers)
        real, imag = transform(plan, buffers)
        for k in range(lowest, highest):
            bin_real, bin_imag = spectrum(plan, real, imag, k)
            store(powers, k * _LANES, plus(times(bin_real, bin_real), times(bin_imag, bin_imag)))
        for band in range(n_bands):
            place, begin = first_bins[band] * _LANES, offsets[band]
            if offsets[band + 1] == begin:  # a band between two bins
                totals[band] = 0.0
                continue
            total = scaled(weights[begin], load(powers, place))
            for i in range(1, offsets[band + 1] - begin):
                total = plus(total, scaled(weights[begin + i], load(powers, place + i * _LANES)))
            store(values, band * _LANES, total)
        for i in range(len(values)):
            values[i] = decibels(values[i], floor_db)
        for row in range(min(_LANES, len(out) - first_row)):
            for band in range(n_bands):
                out[first_row + row, band] = totals[band, row]


@compiled
def add_energy(signal: Any, window: Any, plan: Any, out: Any) -> None:
    """Adds the power of every bin over the adjacent frames that lie within a signal.

    Args:
        signal: float [samples].
        window: float64, of the plan's length.
        plan: `pipeline.audio.fourier.Plan`, of the FFT's length.
        out: float64 [length / 2 + 1], changed.
    """
    length = len(window)
    whole = signal[: len(signal) // length * length]
    buffers = np.empty((4, length // 2 * _LANES))
    energies = np.zeros(len(out) * _LANES)
    for start in range(0, len(whole), length * _LANES):
        # Frames behind the end are zeros.
        _load_frames(whole, window, length, start, buffers)
        real, imag = transform(plan, buffers)
        for k in range(len(out)):
            bin_real, bin_imag = spectrum(plan, real, imag, k)
            power = plus(times(bin_real, bin_real), times(bin_imag, bin_imag))
            store(energies, k * _LANES, plus(load(energies, k * _LANES), power))
    for k in range(len(out)):
        for energy in energies[k * _LANES : (k + 1) * _LANES]:
            out[k] += energy


@compiled
def _load_frames(signal: Any, window: Any, hop_length: int, start: int, buffers: Any) -> None:
    """Writes eight windowed frames, the first of which begins at sample `start`, as `transform` takes them."""
    half = buffers.shape[1] // _LANES
    offset = (2 * half - len(window)) // 2
    for row in range(_LANES):
        first = start + row * hop_length
        # The samples of the frame that lie under the window and within the signal.
        begin = min(max(offset, -first), 2 * half)
        end = max(min(offset + len(window), len(signal) - first), begin)
        for parity in range(2):
            values = buffers[parity, row:]
            low, high = (begin - parity + 1) // 2, (end - parity + 1) // 2
            for i in range(low):
                values[i * _LANES] = 0.0
            for i in range(high, half):
                values[i * _LANES] = 0.0
            if low < high:
                samples, weights = signal[first + 2 * low + parity :: 2], window[2 * low + parity - offset :: 2]
                inside = values[low * _LANES :]
                for i in range(high - low):
                    inside[i * _LANES] = samples[i] * weights[i]
