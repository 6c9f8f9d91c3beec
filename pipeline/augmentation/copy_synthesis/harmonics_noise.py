"""Kind `harmonics_noise`: voiced speech becomes harmonics of its pitch, the rest noise with its envelope.

Source: Y. Stylianou, "Applying the harmonic plus noise model in concatenative speech synthesis", IEEE TSAP 9(1), 2001.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.augmentation.copy_synthesis.arithmetic import cosine_sine
from pipeline.augmentation.copy_synthesis.base import Draws, FloatArray, Resynthesis, Values, samples_at
from pipeline.augmentation.copy_synthesis.pitch import at_samples, fundamental, hop_samples
from pipeline.augmentation.copy_synthesis.short_time import ShortTime, magnitudes, random_phases, scaled

# Windows of the analysis in samples at 16 kHz: harmonics need two periods, the envelope of the noise less.
_HARMONIC_WINDOW = 640
_NOISE_WINDOW = 320
# Bins over which the envelope of the noise is averaged, to each side.
_NOISE_BINS = 4
# Slowest change of the frequencies between voiced and unvoiced, in seconds.
_FADE_S = 0.005


@dataclass(frozen=True)
class HarmonicsNoiseValues(Values):
    """Drawn values.

    Attributes:
        highest_hz: Of the harmonics; above is noise.
        phases: Of the harmonics: "zero", "random", or "quadratic" in their number.
        noise: Share of the noise that is left below `highest_hz` in voiced speech.
        seed: Of the noise and the phases.
    """

    highest_hz: float
    phases: str
    noise: float
    seed: int


class HarmonicsNoise(Resynthesis[HarmonicsNoiseValues]):
    """The harmonic plus noise model."""

    name: ClassVar[str] = "harmonics_noise"

    def draw(self, generator: np.random.Generator) -> HarmonicsNoiseValues:
        draws = Draws(generator)
        return HarmonicsNoiseValues(
            highest_hz=draws.between(2500.0, 7500.0),
            phases=draws.choice("zero", "random", "quadratic"),
            noise=draws.between(0.0, 0.4),
            seed=draws.seed(),
        )

    def apply(self, waveform: Waveform, values: HarmonicsNoiseValues, sample_rate: int) -> FloatArray:
        generator = np.random.default_rng(values.seed)
        frames = fundamental(waveform, sample_rate)
        pitch, voiced = at_samples(frames, sample_rate, len(waveform))
        highest = min(values.highest_hz, 0.45 * sample_rate)
        voicing = np.empty(len(waveform))
        _fade(voiced, 1.0 / max(1.0, _FADE_S * sample_rate), voicing)
        harmonics = self._harmonics(waveform, pitch, highest, values.phases, generator, sample_rate)
        noise = self._noise(waveform, voicing, highest, values.noise, generator, sample_rate)
        return harmonics * voicing + noise

    @staticmethod
    def _harmonics(
        waveform: Waveform,
        pitch: FloatArray,
        highest_hz: float,
        phases: str,
        generator: np.random.Generator,
        sample_rate: int,
    ) -> FloatArray:
        n_fft = samples_at(sample_rate, _HARMONIC_WINDOW)
        short_time = ShortTime(len(waveform), n_fft, hop_samples(sample_rate))
        amplitudes = magnitudes(short_time.analyse(waveform))
        numbers = np.arange(1, 2 + math.ceil(highest_hz / float(pitch.min())))
        if phases == "random":
            turns = generator.random(len(numbers))
        else:
            turns = (0.01 / (2.0 * math.pi)) * (numbers * numbers) if phases == "quadratic" else np.zeros(len(numbers))
        out = np.zeros(len(waveform))
        _add_harmonics(amplitudes, pitch, short_time.hop_length, sample_rate / n_fft, highest_hz, turns, out)
        return out

    @staticmethod
    def _noise(
        waveform: Waveform,
        voicing: FloatArray,
        highest_hz: float,
        share: float,
        generator: np.random.Generator,
        sample_rate: int,
    ) -> FloatArray:
        n_fft = samples_at(sample_rate, _NOISE_WINDOW)
        hop = n_fft // 4
        short_time = ShortTime(len(waveform), n_fft, hop)
        spectra = short_time.analyse(waveform)
        envelope = np.empty(spectra.shape)
        _root_mean_square(magnitudes(spectra), _NOISE_BINS, envelope)
        centres = np.minimum(np.arange(short_time.n_frames) * hop, len(waveform) - 1)
        is_low = (np.arange(short_time.n_bins) * (sample_rate / n_fft) < highest_hz).astype(np.float64)
        gains = 1.0 - (1.0 - share) * voicing[centres][:, np.newaxis] * is_low
        # Frames with random phases do not add up: with four hops per window, half of the amplitude is left.
        return short_time.synthesise(scaled(random_phases(spectra.shape, generator), 2.0 * envelope * gains))


@compiled
def _fade(voiced: Any, step: float, out: Any) -> None:
    value: Any = 1.0 if voiced[0] else 0.0
    for i in range(len(out)):
        value = min(1.0, value + step) if voiced[i] else max(0.0, value - step)
        out[i] = value


@compiled
def _add_harmonics(
    amplitudes: Any, pitch: Any, hop: int, bin_hz: float, highest_hz: float, turns: Any, out: Any
) -> None:
    """Sums harmonics whose amplitudes are those of the spectrum at their frequencies, linear from frame to frame."""
    n_frames, n_bins = amplitudes.shape
    # A sinusoid of amplitude 1 has the magnitude n_fft / 4 in the spectrum of a Hann window.
    scale = 4.0 / (2.0 * (n_bins - 1))
    offset_cos, offset_sin = np.ones(len(turns)), np.zeros(len(turns))
    for number in range(len(turns)):
        offset_cos[number], offset_sin[number] = cosine_sine(turns[number])
    before, after = np.zeros(len(turns)), np.zeros(len(turns))
    phase: Any = 0.0
    sample_rate = bin_hz * 2.0 * (n_bins - 1)
    for i in range(len(out)):
        t = i // hop
        if i % hop == 0:
            _amplitudes_of(amplitudes, min(t, n_frames - 1), pitch[i], bin_hz, highest_hz, scale, before)
            later = min(t + 1, n_frames - 1)
            _amplitudes_of(amplitudes, later, pitch[min(i + hop, len(pitch) - 1)], bin_hz, highest_hz, scale, after)
        weight = (i - t * hop) / hop
        phase += pitch[i] / sample_rate
        phase -= np.floor(phase)
        cosine, sine = cosine_sine(phase)
        turn_cos: Any = 1.0
        turn_sin: Any = 0.0
        count = min(len(turns), int(highest_hz / pitch[i]))
        total: Any = 0.0
        for number in range(count):
            turned = turn_cos * cosine - turn_sin * sine
            turn_sin = turn_sin * cosine + turn_cos * sine
            turn_cos = turned
            amplitude = (1.0 - weight) * before[number] + weight * after[number]
            total += amplitude * (turn_cos * offset_cos[number] - turn_sin * offset_sin[number])
        out[i] = total


@compiled
def _amplitudes_of(
    amplitudes: Any, frame: int, pitch: float, bin_hz: float, highest_hz: float, scale: float, out: Any
) -> None:
    out[:] = 0.0
    for number in range(len(out)):
        hz = (number + 1) * pitch
        position = hz / bin_hz
        below = int(position)
        if hz >= highest_hz or below + 1 >= amplitudes.shape[1]:
            break
        out[number] = scale * max(amplitudes[frame, below], amplitudes[frame, below + 1])


@compiled
def _root_mean_square(values: Any, reach: int, out: Any) -> None:
    for t in range(values.shape[0]):
        for k in range(values.shape[1]):
            low, high = max(0, k - reach), min(values.shape[1], k + reach + 1)
            total: Any = 0.0
            for j in range(low, high):
                total += values[t, j] * values[t, j]
            out[t, k] = np.sqrt(total / (high - low))
