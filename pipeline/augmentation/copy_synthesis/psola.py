"""Kind `psola`: pitch, formants or tempo changed by overlapping pitch periods.

Source: E. Moulines and F. Charpentier, "Pitch-synchronous waveform processing techniques for text-to-speech synthesis using
diphones", Speech Communication 9, 1990.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.augmentation.base import exact_power
from pipeline.augmentation.copy_synthesis.arithmetic import cosine_sine
from pipeline.augmentation.copy_synthesis.base import Draws, FloatArray, Resynthesis, Values
from pipeline.augmentation.copy_synthesis.pitch import at_samples, fundamental

# Distance of the marks of unvoiced speech, in seconds.
_UNVOICED_S = 0.01


@dataclass(frozen=True)
class PsolaValues(Values):
    """Drawn values.

    Attributes:
        semitones: Pitch shift.
        formants: Factor on the frequencies of the formants.
        rate: Samples of the original per sample of the twin, at most 1: slower, and the end is cut.
    """

    semitones: float
    formants: float
    rate: float


class Psola(Resynthesis[PsolaValues]):
    """Time-domain pitch-synchronous overlap and add (TD-PSOLA)."""

    name: ClassVar[str] = "psola"

    def draw(self, generator: np.random.Generator) -> PsolaValues:
        draws = Draws(generator)
        semitones = draws.between(-5.0, 5.0)
        formants, shifts_formants = draws.between(0.88, 1.13), draws.chance(0.6)
        rate, changes_rate = draws.between(0.92, 1.0), draws.chance(0.3)
        return PsolaValues(semitones, formants if shifts_formants else 1.0, rate if changes_rate else 1.0)

    def apply(self, waveform: Waveform, values: PsolaValues, sample_rate: int) -> FloatArray:
        pitch, voiced = at_samples(fundamental(waveform, sample_rate), sample_rate, len(waveform))
        out = np.zeros(len(waveform))
        _overlap_periods(
            waveform.astype(np.float64),
            np.where(voiced, pitch, 0.0),
            float(sample_rate),
            exact_power(2, values.semitones / 12.0),
            values.formants,
            values.rate,
            out,
        )
        return out


@compiled
def _overlap_periods(
    waveform: Any, pitch: Any, sample_rate: float, shift: float, formants: float, rate: float, out: Any
) -> None:
    """Adds two periods around the nearest mark at every place of synthesis.

    Args:
        waveform: float64 [samples].
        pitch: float64 [samples] in Hz, 0 where unvoiced.
        sample_rate: In Hz.
        shift: Factor on the pitch.
        formants: Factor on the frequencies within a period.
        rate: Samples of the waveform per sample of `out`.
        out: float64 [samples], zeros.
    """
    marks, periods = _marks(waveform, pitch, sample_rate)
    time: Any = 0.0
    mark = 0
    while time < len(out):
        place = time * rate
        while mark + 1 < len(marks) and abs(marks[mark + 1] - place) <= abs(marks[mark] - place):
            mark += 1
        period = periods[mark]
        # Read at `formants` samples per sample, two periods take 2 × period / formants samples.
        reach = int(period / formants)
        centre = int(time)
        for i in range(-reach, reach + 1):
            position = marks[mark] + i * formants
            if centre + i < 0 or centre + i >= len(out) or position < 0 or position >= len(waveform) - 1:
                continue
            below = int(position)
            weight = position - below
            value = (1.0 - weight) * waveform[below] + weight * waveform[below + 1]
            out[centre + i] += value * 0.5 * (1.0 + cosine_sine(0.5 * i / (reach + 1.0))[0])
        is_voiced = pitch[min(int(place), len(pitch) - 1)] > 0.0
        time += period / shift if is_voiced else float(period)


@compiled
def _marks(waveform: Any, pitch: Any, sample_rate: float) -> Any:
    """Samples and periods of the marks: the highest sample near each expected place, every 10 ms where unvoiced."""
    most = int(len(waveform) * 500.0 / sample_rate) + 16
    marks, periods = np.zeros(most, np.int64), np.zeros(most, np.int64)
    count = 0
    place = 0
    while place < len(waveform) and count < most:
        if pitch[place] > 0.0:
            period = int(sample_rate / pitch[place])
            best = place
            if count > 0:
                for i in range(max(0, place - period // 5), min(len(waveform), place + period // 5 + 1)):
                    if waveform[i] > waveform[best]:
                        best = i
            place = max(best, marks[count - 1] + 1) if count > 0 else best
        else:
            period = int(_UNVOICED_S * sample_rate)
        marks[count], periods[count] = place, period
        count += 1
        place += max(period, 2)
    return marks[:count], periods[:count]
