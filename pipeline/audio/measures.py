"""Measures of a waveform: level, silence at both ends, band edge."""

from dataclasses import dataclass

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.fourier import plan
from pipeline.audio.frame_spectra import add_energy
from pipeline.audio.kernels import cell_energies, frame_levels, mean, peak, percentile, total
from pipeline.audio.level import LOWEST_DB, amplitude_db, power_db
from pipeline.audio.windows import hann

# Levels are taken over frames of 25 ms every 10 ms, made of cells of 5 ms.
_CELL_S = 0.005
_FRAME_CELLS = 5
_HOP_CELLS = 2
_SILENCE_PERCENTILE = 95.0
_SILENCE_BELOW_LOUD_DB = 40.0
_SILENCE_FLOOR_DB = -60.0
_EDGE_FRAME_S = 0.032
_EDGE_LOWEST_BIN = 2
_EDGE_ENERGY = 0.999


@dataclass(frozen=True)
class Measures:
    """Properties of a waveform that must not separate the classes; see `measure`.

    Attributes:
        leading_silence_s: Seconds before the first audible frame.
        trailing_silence_s: Seconds after the last audible frame.
        level_db: RMS about the mean in dB relative to full scale, at least -200.
        peak_db: Largest absolute sample in dB relative to full scale, at least -200.
        band_edge_hz: Frequency below which 99.9 % of the energy lies.
    """

    leading_silence_s: float
    trailing_silence_s: float
    level_db: float
    peak_db: float
    band_edge_hz: float


def measure(waveform: Waveform, sample_rate: int) -> Measures:
    """Measures silence, level and bandwidth of a clip.

    Silence and level are measured about the mean of the clip, so a constant offset is no sound. Silence follows from the level
    of frames in dB relative to full scale (mean square), 25 ms long, every 10 ms, and one more that ends with the clip. A
    frame is audible if its level is above -60 dB and less than 40 dB below the 95th percentile of all frames. Leading silence
    ends where the first audible frame begins; trailing silence begins where the last one ends. In a clip without an audible
    frame both last as long as the clip.

    The band edge comes from the average power spectrum of adjacent Hann frames of about 32 ms (the next power of two in
    samples), without the two lowest bins, which hold a constant offset. It is the upper edge of the bin at which the running
    sum over frequency reaches 99.9 %.

    Args:
        waveform: float32 [samples], in [-1, 1], at least one sample.
        sample_rate: Hz.
    """
    leading, trailing, mean_square = _silences(waveform, sample_rate)
    return Measures(
        leading_silence_s=leading / sample_rate,
        trailing_silence_s=trailing / sample_rate,
        level_db=power_db(mean_square),
        peak_db=amplitude_db(peak(waveform)),
        band_edge_hz=_band_edge(waveform, sample_rate),
    )


def trim_silence(waveform: Waveform, sample_rate: int) -> Waveform:
    """Cuts off the leading and trailing silence that `measure` finds; a clip of silence only is returned as it is."""
    leading, trailing, _ = _silences(waveform, sample_rate)
    return waveform[leading : len(waveform) - trailing] if leading + trailing < len(waveform) else waveform


def _silences(waveform: Waveform, sample_rate: int) -> tuple[int, int, float]:
    """Leading and trailing silence in samples, and the mean square of the whole clip about its mean."""
    cell = max(1, round(_CELL_S * sample_rate))
    energies = np.zeros(max(1, len(waveform) // cell))
    cell_energies(waveform, mean(waveform), cell, energies)
    frame_cells = min(_FRAME_CELLS, len(energies))
    firsts = np.arange(0, len(energies) - frame_cells + 1, _HOP_CELLS)
    if firsts[-1] != len(energies) - frame_cells:
        firsts = np.append(firsts, len(energies) - frame_cells)
    frame_starts = firsts * cell
    frame_ends = frame_starts + frame_cells * cell
    frame_ends[-1] = len(waveform)  # the last cell extends to the end
    levels = np.empty(len(firsts))
    frame_levels(energies, firsts, frame_ends - frame_starts, frame_cells, LOWEST_DB, levels)
    threshold = max(percentile(levels, _SILENCE_PERCENTILE) - _SILENCE_BELOW_LOUD_DB, _SILENCE_FLOOR_DB)
    audible = np.flatnonzero(levels > threshold)
    mean_square = total(energies) / len(waveform)
    if len(audible) == 0:
        return len(waveform), len(waveform), mean_square
    return int(frame_starts[audible[0]]), int(len(waveform) - frame_ends[audible[-1]]), mean_square


def _band_edge(waveform: Waveform, sample_rate: int) -> float:
    length = 1 << max(4, round(_EDGE_FRAME_S * sample_rate - 1).bit_length())
    if len(waveform) < length:
        waveform = np.concatenate([waveform, np.zeros(length - len(waveform), np.float32)])
    energy = np.zeros(1 + length // 2)
    add_energy(waveform, hann(length), plan(length), energy)
    running = np.cumsum(energy[_EDGE_LOWEST_BIN:])
    edge_bin = _EDGE_LOWEST_BIN + int(np.searchsorted(running, _EDGE_ENERGY * running[-1]))
    return float(min((edge_bin + 0.5) * sample_rate / length, sample_rate / 2.0))
