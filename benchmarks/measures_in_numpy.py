"""`measure()` as it was before its kernels: the peer of the benchmark of the measures. Nothing else uses it."""

import functools
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import scipy.fft

_LOWEST_DB = -200.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _windowed_frames(signal: Any, window: Any, hop_length: int, first: int, out: Any) -> None:
    for row in range(out.shape[0]):
        start = (first + row) * hop_length
        for i in range(out.shape[1]):
            out[row, i] = signal[start + i] * window[i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _cell_energies(waveform: Any, cell_length: int, out: Any) -> None:
    for cell in range(len(out)):
        total = 0.0
        end = len(waveform) if cell == len(out) - 1 else (cell + 1) * cell_length
        for i in range(cell * cell_length, end):
            value = np.float64(waveform[i])
            total += value * value
        out[cell] = total


@functools.cache
def _hann(length: int) -> npt.NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)


def measure_in_numpy(waveform: npt.NDArray[np.float32], sample_rate: int) -> tuple[float, float, float, float, float]:
    """Leading and trailing silence in seconds, RMS and peak in dB, band edge in Hz."""
    leading, trailing, mean_square = _silences(waveform, sample_rate)
    return (
        leading / sample_rate,
        trailing / sample_rate,
        _decibels(mean_square, 10.0),
        _decibels(float(max(waveform.max(), -waveform.min())), 20.0),
        _band_edge(waveform, sample_rate),
    )


def _decibels(value: float, factor: float) -> float:
    return float(max(factor * np.log10(value), _LOWEST_DB)) if value > 0.0 else _LOWEST_DB


def _silences(waveform: npt.NDArray[np.float32], sample_rate: int) -> tuple[int, int, float]:
    cell = max(1, round(0.005 * sample_rate))
    energies = np.zeros(max(1, len(waveform) // cell))
    _cell_energies(waveform, cell, energies)
    ends = np.append(np.arange(1, len(energies)) * cell, len(waveform))
    frame_cells = min(5, len(energies))
    firsts = np.arange(0, len(energies) - frame_cells + 1, 2)
    if firsts[-1] != len(energies) - frame_cells:
        firsts = np.append(firsts, len(energies) - frame_cells)
    frame_starts = firsts * cell
    frame_ends = ends[firsts + frame_cells - 1]
    sums = np.lib.stride_tricks.sliding_window_view(energies, frame_cells)[firsts].sum(axis=1)
    levels = 10.0 * np.log10(np.maximum(sums / (frame_ends - frame_starts), 10.0 ** (_LOWEST_DB / 10.0)))
    threshold = max(np.percentile(levels, 95.0) - 40.0, -60.0)
    audible = np.flatnonzero(levels > threshold)
    mean_square = float(energies.sum()) / len(waveform)
    if len(audible) == 0:
        return len(waveform), len(waveform), mean_square
    return int(frame_starts[audible[0]]), int(len(waveform) - frame_ends[audible[-1]]), mean_square


def _band_edge(waveform: npt.NDArray[np.float32], sample_rate: int) -> float:
    length = 1 << max(4, round(0.032 * sample_rate - 1).bit_length())
    if len(waveform) < length:
        waveform = np.concatenate([waveform, np.zeros(length - len(waveform), np.float32)])
    frames = np.empty((len(waveform) // length, length))
    _windowed_frames(waveform, _hann(length), length, 0, frames)
    spectra = scipy.fft.rfft(frames, axis=1, overwrite_x=True)
    energy = (spectra.real**2 + spectra.imag**2).sum(axis=0)
    running = np.cumsum(energy[2:])
    edge_bin = 2 + int(np.searchsorted(running, 0.999 * running[-1]))
    return float(min((edge_bin + 0.5) * sample_rate / length, sample_rate / 2.0))
