"""Kind `lpc`: linear prediction, excited by pulses and noise instead of the residual.

Source: B. Atal and S. Hanauer, "Speech analysis and synthesis by linear prediction of the speech wave", JASA 50(2), 1971;
excitation in two bands: A. McCree and T. Barnwell, "A mixed excitation LPC vocoder model", IEEE TSAP 3(4), 1995.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.audio.windows import hann
from pipeline.augmentation.copy_synthesis.base import Draws, FloatArray, Resynthesis, Values, samples_at
from pipeline.augmentation.copy_synthesis.pitch import at_samples, fundamental
from pipeline.augmentation.noise import white_noise

# The response of a frame is computed this many windows long.
_RESPONSE_WINDOWS = 2
# Added to the zeroth autocorrelation, as a share of it and in full scale squared per sample.
_WHITENING, _LEAST_POWER = 1e-5, 1e-12


@dataclass(frozen=True)
class LpcValues(Values):
    """Drawn values.

    Attributes:
        order: Of the prediction.
        window: In samples at 16 kHz.
        overlap: Hops per window.
        excitation: Of voiced speech: "pulses"; "mixed", pulses and noise at all frequencies; "bands", pulses below `edge_hz`
            and noise above.
        noise: Share of the noise of "mixed".
        edge_hz: Of "bands".
        seed: Of the noise.
    """

    order: int
    window: int
    overlap: int
    excitation: str
    noise: float
    edge_hz: float
    seed: int


class Lpc(Resynthesis[LpcValues]):
    """An all-pole filter per frame, excited anew."""

    name: ClassVar[str] = "lpc"

    def draw(self, generator: np.random.Generator) -> LpcValues:
        draws = Draws(generator)
        return LpcValues(
            order=draws.choice(12, 14, 16, 18, 20, 22, 24),
            window=draws.choice(320, 400, 480),
            overlap=draws.choice(2, 3),
            excitation=draws.choice("pulses", "mixed", "bands"),
            noise=draws.between(0.1, 0.6),
            edge_hz=draws.between(1500.0, 4500.0),
            seed=draws.seed(),
        )

    def apply(self, waveform: Waveform, values: LpcValues, sample_rate: int) -> FloatArray:
        excitation = self._excitation(waveform, values, sample_rate)
        length = samples_at(sample_rate, values.window)
        out = np.zeros(len(waveform) + (_RESPONSE_WINDOWS + 1) * length)
        _resynthesise(
            waveform.astype(np.float64), excitation, hann(length), length // values.overlap, values.order, out
        )
        return out[length : length + len(waveform)]

    def _excitation(self, waveform: Waveform, values: LpcValues, sample_rate: int) -> FloatArray:
        n_samples = len(waveform)
        pitch, voiced = at_samples(fundamental(waveform, sample_rate), sample_rate, n_samples)
        noise = white_noise(n_samples, np.random.default_rng(values.seed)).astype(np.float64)
        pulses = np.zeros(n_samples)
        _pulse_train(pitch, sample_rate, pulses)
        if values.excitation == "mixed":
            mixed = 0.8 * pulses + values.noise * noise
        elif values.excitation == "bands":
            low, high = np.empty(n_samples), np.empty(n_samples)
            share = min(0.9, values.edge_hz / sample_rate)
            _split(pulses, share, low)
            _split(noise, share, high)
            mixed = low + 0.7 * (noise - high)
        else:
            mixed = pulses
        return np.where(voiced, mixed, noise)


def predict(frame: FloatArray, order: int) -> FloatArray:
    """The coefficients of the prediction error filter of a windowed frame, float64 [order + 1]; the first is 1."""
    coefficients = np.zeros(order + 1)
    _predict(frame, coefficients)
    return coefficients


@compiled
def _pulse_train(pitch: Any, sample_rate: float, out: Any) -> None:
    """A pulse per period, with the power of noise of deviation 1."""
    phase: Any = 0.0
    for i in range(len(out)):
        phase += pitch[i] / sample_rate
        if phase >= 1.0:
            phase -= 1.0
            out[i] = np.sqrt(sample_rate / pitch[i])


@compiled
def _split(values: Any, share: float, out: Any) -> None:
    """Four one-pole low-pass filters one after the other; `share` is the edge as a share of the sample rate."""
    pole = 1.0 / (1.0 + 2.0 * np.pi * share * 2.0)
    state = np.zeros(4)
    for i in range(len(out)):
        value: Any = values[i]
        for k in range(4):
            state[k] = pole * state[k] + (1.0 - pole) * value
            value = state[k]
        out[i] = value


@compiled
def _predict(frame: Any, coefficients: Any) -> Any:
    """Levinson's recursion on the autocorrelation of a frame; gives the power of the prediction error."""
    order = len(coefficients) - 1
    correlation = np.zeros(order + 1)
    for lag in range(order + 1):
        total: Any = 0.0
        for i in range(len(frame) - lag):
            total += frame[i] * frame[i + lag]
        correlation[lag] = total
    correlation[0] = correlation[0] * (1.0 + _WHITENING) + _LEAST_POWER * len(frame)
    coefficients[:] = 0.0
    coefficients[0] = 1.0
    error: Any = correlation[0]
    for n in range(1, order + 1):
        total = 0.0
        for j in range(n):
            total += coefficients[j] * correlation[n - j]
        reflection = -total / error
        for j in range(n // 2 + 1):
            low, high = coefficients[j], coefficients[n - j]
            coefficients[j] = low + reflection * high
            coefficients[n - j] = high + reflection * low
        error *= 1.0 - reflection * reflection
    return error


@compiled
def _resynthesise(waveform: Any, excitation: Any, window: Any, hop: int, order: int, out: Any) -> None:
    """Adds the response of every frame's filter to `out`, in which sample 0 of the waveform is one window in."""
    length = len(window)
    frame, excited = np.zeros(length), np.zeros(length)
    response = np.zeros((1 + _RESPONSE_WINDOWS) * length)
    coefficients = np.zeros(order + 1)
    n_frames = (len(waveform) + length) // hop
    for t in range(n_frames):
        start = t * hop - length
        energy: Any = 0.0
        for i in range(length):
            inside = 0 <= start + i < len(waveform)
            frame[i] = waveform[start + i] * window[i] if inside else 0.0
            excited[i] = excitation[start + i] * window[i] if inside else 0.0
            energy += frame[i] * frame[i]
        _predict(frame, coefficients)
        n_response = min(len(response), len(out) - t * hop)
        response_energy: Any = 1e-30
        for i in range(n_response):
            value: Any = excited[i] if i < length else 0.0
            for k in range(1, min(order, i) + 1):
                value -= coefficients[k] * response[i - k]
            response[i] = value
            response_energy += value * value
        # The response takes the energy of the frame.
        gain = np.sqrt(energy / response_energy)
        for i in range(n_response):
            out[t * hop + i] += gain * response[i]
