"""Pitch shift and time stretch in one pass of a phase vocoder."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import soxr

from pipeline.audio import Waveform
from pipeline.audio.fourier import irfft, rfft
from pipeline.audio.windows import hann
from pipeline.augmentation.base import Augmentation, Clip, between, exact_power
from pipeline.augmentation.params import PitchShiftParams, TimeStretchParams

# The phase vocoder's frames in samples, librosa's defaults.
_N_FFT = 2048
_HOP_LENGTH = 512

# Frames computed together, at most: their arrays stay in the processor's cache.
_BLOCK_FRAMES = 16


@dataclass(frozen=True)
class PitchTempoValues:
    """Change of pitch and tempo; None where one of them stays as it is.

    Attributes:
        pitch_shift_semitones: Above 0 is higher.
        time_stretch_rate: Above 1 is faster and shorter.
    """

    pitch_shift_semitones: float | None = None
    time_stretch_rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """An entry for each of the two that changes."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class PitchTempo(Augmentation[PitchTempoValues]):
    """Shifts the pitch, stretches the time, or both: two sections of the parameters, drawn independently."""

    name: ClassVar[str] = "pitch_tempo"

    def __init__(self, pitch_shift: PitchShiftParams, time_stretch: TimeStretchParams, sample_rate: int) -> None:
        self._pitch_shift = pitch_shift
        self._time_stretch = time_stretch
        self._sample_rate = sample_rate

    def draw(self, generator: np.random.Generator, clip: Clip) -> PitchTempoValues | None:
        shift_chance, semitones, stretch_chance, rate = generator.random(4)
        shifts = shift_chance < self._pitch_shift.probability
        stretches = stretch_chance < self._time_stretch.probability
        if not shifts and not stretches:
            return None
        return PitchTempoValues(
            pitch_shift_semitones=between(self._pitch_shift.semitones, semitones) if shifts else None,
            time_stretch_rate=between(self._time_stretch.rate, rate) if stretches else None,
        )

    def apply(self, waveform: Waveform, values: PitchTempoValues, clips: Mapping[str, Waveform]) -> Waveform:
        """Changes pitch and tempo: a pitch shift keeps the length, a time stretch gives `stretched_length`."""
        semitones, rate = values.pitch_shift_semitones or 0.0, values.time_stretch_rate or 1.0
        return change_pitch_and_tempo(waveform, semitones, rate, self._sample_rate)


def stretched_length(n_samples: int, rate: float) -> int:
    """Samples after a time stretch: round(n_samples / rate), at least one."""
    return max(1, round(n_samples / rate))


def change_pitch_and_tempo(waveform: Waveform, semitones: float, rate: float, sample_rate: int) -> Waveform:
    """Shifts the pitch and changes the tempo.

    With ratio = 2^(-semitones / 12), the phase vocoder stretches by rate × ratio and soxr resamples by ratio. For one of the
    two alone this is the algorithm of `librosa.effects.pitch_shift` and `time_stretch`; both take a single pass here.

    Args:
        waveform: float32 [samples].
        semitones: Above 0 is higher.
        rate: Above 1 is faster and shorter.
        sample_rate: Hz.

    Returns:
        float32 [stretched_length(samples, rate)].
    """
    n_samples = stretched_length(len(waveform), rate)
    if semitones == 0.0:
        return waveform if rate == 1.0 else _stretch(waveform, rate)
    ratio = exact_power(2, -semitones / 12.0)
    stretched = _stretch(waveform, rate * ratio)
    shifted = soxr.resample(stretched, sample_rate / ratio, sample_rate, quality="VHQ")[:n_samples]
    result = np.zeros(n_samples, np.float32)
    result[: len(shifted)] = shifted
    return result


def _stretch(waveform: Waveform, rate: float) -> Waveform:
    """Stretches by a rate with the pitch kept: float32 [stretched_length(samples, rate)]."""
    # Imported here: whoever reads parameters imports this module, and numba and scipy take half a second.

    from pipeline.augmentation.kernels import divide_by_window_energy, overlap_add, phase_vocoder

    n_samples = stretched_length(len(waveform), rate)
    margin = _N_FFT // 2
    window = hann(_N_FFT).astype(np.float32)
    padded = np.zeros(len(waveform) + _N_FFT, np.float32)
    padded[margin : margin + len(waveform)] = waveform
    all_inputs = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::_HOP_LENGTH]
    n_inputs, n_outputs = len(all_inputs), math.ceil(len(all_inputs) / rate)
    # Outputs first to last need the inputs from int(first rate) to int(last rate) + 1: at most (last - first) rate + 3.
    block = max(1, min(_BLOCK_FRAMES, int((_BLOCK_FRAMES - 3) / rate) + 1))
    stretched = np.empty((block, margin + 1), np.complex64)
    phase = np.empty((2, margin + 1))
    n_hops = math.ceil(max(n_outputs * _HOP_LENGTH + _N_FFT, margin + n_samples) / _HOP_LENGTH)
    result = np.zeros(n_hops * _HOP_LENGTH, np.float32)
    for first in range(0, n_outputs, block):
        outputs = stretched[: n_outputs - first]
        first_input = min(int(first * rate), n_inputs - 1)
        last_input = int((first + len(outputs) - 1) * rate) + 1
        frames = all_inputs[first_input : last_input + 1] * window
        spectra = rfft(frames)
        phase_vocoder(spectra, first_input, n_inputs, rate, first, phase, outputs)
        synthesis = irfft(outputs, _N_FFT)
        overlap_add(synthesis, window, _HOP_LENGTH, first, result)
    divide_by_window_energy(window, _HOP_LENGTH, n_outputs, result)
    return result[margin : margin + n_samples]
