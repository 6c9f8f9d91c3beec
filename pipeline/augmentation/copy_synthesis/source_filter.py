"""Kind `source_filter`: minimum-phase pulses and noise through a smooth envelope, as the vocoders STRAIGHT and WORLD work.

Source: M. Morise, F. Yokomori and K. Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system for real-time
applications", IEICE Trans. E99-D(7), 2016; the envelope: M. Morise, "CheapTrick, a spectral envelope estimator for
high-quality speech synthesis", Speech Communication 67, 2015, without its second smoothing.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.audio.fourier import irfft, rfft
from pipeline.augmentation.base import exact_power
from pipeline.augmentation.copy_synthesis.arithmetic import cosine_sine, exponential
from pipeline.augmentation.copy_synthesis.base import Draws, FloatArray, Resynthesis, Values, samples_at
from pipeline.augmentation.copy_synthesis.pitch import (
    HIGHEST_HZ,
    HOP_S,
    at_samples,
    fundamental,
    hop_samples,
)
from pipeline.augmentation.copy_synthesis.short_time import ShortTime, Spectra, logs, magnitudes
from pipeline.augmentation.noise import white_noise

# In samples at 16 kHz.
_WINDOW = 1024


@dataclass(frozen=True)
class SourceFilterValues(Values):
    """Drawn values.

    Attributes:
        coefficients: Cepstral coefficients of the envelope.
        semitones: Pitch shift; mostly 0.
        aperiodic_hz: The share of noise in voiced speech rises evenly from 0 Hz to 1 at this frequency.
        seed: Of the noise.
    """

    coefficients: int
    semitones: float
    aperiodic_hz: float
    seed: int


class SourceFilter(Resynthesis[SourceFilterValues]):
    """A vocoder of pitch, envelope and aperiodicity."""

    name: ClassVar[str] = "source_filter"

    def draw(self, generator: np.random.Generator) -> SourceFilterValues:
        draws = Draws(generator)
        semitones, is_shifted = draws.between(-3.0, 3.0), draws.chance(0.3)
        return SourceFilterValues(
            coefficients=draws.choice(24, 32, 40, 50, 60, 80),
            semitones=semitones if is_shifted else 0.0,
            aperiodic_hz=draws.between(5000.0, 16000.0),
            seed=draws.seed(),
        )

    def apply(self, waveform: Waveform, values: SourceFilterValues, sample_rate: int) -> FloatArray:
        pitch, voiced = at_samples(fundamental(waveform, sample_rate), sample_rate, len(waveform))
        hop = hop_samples(sample_rate)
        short_time = ShortTime(len(waveform), samples_at(sample_rate, _WINDOW), hop)
        envelope = np.empty((short_time.n_frames, short_time.n_bins))
        centres = np.minimum(np.arange(short_time.n_frames) * hop, len(waveform) - 1)
        widths = pitch[centres] * (2.0 / 3.0 * short_time.n_fft / sample_rate)
        _smooth_power(magnitudes(short_time.analyse(waveform)), widths, envelope)
        filters = _minimum_phase(logs(envelope), values.coefficients)
        shifted = pitch * exact_power(2, values.semitones / 12.0)
        marks = np.empty(2 + int(len(waveform) * (HIGHEST_HZ * 1.2 + 1.0 / HOP_S) / sample_rate), np.int64)
        marks = marks[: _place_marks(shifted, voiced, hop, sample_rate, marks)]
        noise = white_noise(len(waveform), np.random.default_rng(values.seed))
        responses = np.zeros((len(marks), short_time.n_fft))
        _cut_noise(noise, marks, responses)
        excited = rfft(responses)
        shares = np.minimum(1.0, np.arange(short_time.n_bins) * (sample_rate / short_time.n_fft / values.aperiodic_hz))
        _filter(excited, filters, marks // hop, voiced[marks], np.sqrt(sample_rate / shifted[marks]), shares)
        out = np.zeros(len(waveform) + short_time.n_fft)
        _add_responses(irfft(excited, short_time.n_fft), marks, out)
        # The magnitudes of white noise of deviation 1 in the spectrum of a Hann window are sqrt(3 / 8 n_fft).
        return out[: len(waveform)] / math.sqrt(0.375 * short_time.n_fft)


def _minimum_phase(log_envelope: FloatArray, coefficients: int) -> Spectra:
    """Minimum-phase filters with these log magnitudes, smoothed by keeping the first cepstral coefficients."""
    n_fft = 2 * (log_envelope.shape[1] - 1)
    cepstra = irfft(log_envelope.astype(np.complex128), n_fft)
    kept = min(coefficients, n_fft // 2 - 1)
    # The cepstrum of a minimum-phase filter is twice that of its magnitude, without negative times.
    cepstra[:, 1:kept] *= 2.0
    cepstra[:, kept:] = 0.0
    filters: Spectra = rfft(cepstra)
    _complex_exponentials(filters.ravel())
    return filters


@compiled
def _smooth_power(magnitude: Any, widths: Any, out: Any) -> None:
    """The root of the power averaged over `widths` bins around each bin; the spectrum is mirrored at both ends."""
    last = magnitude.shape[1] - 1
    for t in range(magnitude.shape[0]):
        reach = 0.5 * max(1.0, widths[t])
        whole = int(reach)
        rest = reach - whole
        for k in range(last + 1):
            total: Any = 0.0
            for j in range(k - whole - 1, k + whole + 2):
                place = abs(j)
                place = 2 * last - place if place > last else place
                weight = 1.0 if abs(j - k) <= whole else rest
                total += weight * magnitude[t, place] * magnitude[t, place]
            out[t, k] = np.sqrt(total / (1.0 + 2.0 * reach))


@compiled
def _complex_exponentials(values: Any) -> None:
    for i in range(len(values)):
        size = exponential(values[i].real)
        cosine, sine = cosine_sine(values[i].imag * 0.15915494309189535)
        values[i] = complex(size * cosine, size * sine)


@compiled
def _place_marks(pitch: Any, voiced: Any, hop: int, sample_rate: float, marks: Any) -> Any:
    """Samples of the excitation: one per period where voiced, one per hop elsewhere. Gives their number."""
    count = 0
    place: Any = 0.0
    while place < len(pitch) and count < len(marks):
        marks[count] = int(place)
        count += 1
        place += sample_rate / pitch[int(place)] if voiced[int(place)] else float(hop)
    return count


@compiled
def _cut_noise(noise: Any, marks: Any, out: Any) -> None:
    """Each row of `out` gets the noise from its mark to the next."""
    for row in range(len(marks)):
        end = marks[row + 1] if row + 1 < len(marks) else len(noise)
        for i in range(min(end - marks[row], out.shape[1])):
            out[row, i] = noise[marks[row] + i]


@compiled
def _filter(excited: Any, filters: Any, frames: Any, voiced: Any, pulses: Any, shares: Any) -> None:
    """Turns spectra of noise into those of excitation and filter together.

    Args:
        excited: complex128 [marks, bins], changed.
        filters: complex128 [frames, bins].
        frames: int [marks], of the filters.
        voiced: bool [marks].
        pulses: float64 [marks], heights of the pulses where voiced.
        shares: float64 [bins], of the noise where voiced.
    """
    for row in range(excited.shape[0]):
        for k in range(excited.shape[1]):
            real, imag = excited[row, k].real, excited[row, k].imag
            if voiced[row]:
                real = shares[k] * real + np.sqrt(1.0 - shares[k] * shares[k]) * pulses[row]
                imag = shares[k] * imag
            filter_real, filter_imag = filters[frames[row], k].real, filters[frames[row], k].imag
            excited[row, k] = complex(real * filter_real - imag * filter_imag, real * filter_imag + imag * filter_real)


@compiled
def _add_responses(responses: Any, marks: Any, out: Any) -> None:
    for row in range(len(marks)):
        for i in range(responses.shape[1]):
            out[marks[row] + i] += responses[row, i]
