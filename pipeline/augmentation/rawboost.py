"""RawBoost: nuisances of telephony and of recording devices (Tak, Kamble, Patino, Todisco and Evans 2022).

"RawBoost: A raw data boosting and augmentation method applied to automatic speaker verification anti-spoofing", ICASSP 2022.
The ranges are those that the paper and its code give; the kinds run in series, in the order of the paper.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from pipeline.audio import Waveform
from pipeline.audio.kernels import total
from pipeline.audio.level import limit_peak
from pipeline.augmentation.base import Augmentation, Clip, exact_power
from pipeline.augmentation.filters import HAMMING, Taps, filter_linear_phase, peak_gain, windowed_sinc
from pipeline.augmentation.noise import add_noise, white_noise
from pipeline.augmentation.params import RawBoostKind, RawBoostParams

_NOTCHES: Final = 5
_CENTRES_HZ: Final = (20.0, 8000.0)
_WIDTHS_HZ: Final = (100.0, 1000.0)
_TAPS: Final = (10, 100)
_ORDERS: Final = 5
_HARMONICS_DB: Final = (-20.0, -5.0)
_LARGEST_SHARE: Final = 0.1
_IMPULSE_GAIN: Final = 2.0
_SNR_DB: Final = (10.0, 40.0)

Uniform = Callable[[float, float], float]


@dataclass(frozen=True)
class RawBoostValues:
    """What to apply.

    Attributes:
        kinds: Which kinds.
        seed: Of the generator of all further values.
    """

    kinds: tuple[RawBoostKind, ...]
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """One entry, `rawboost`."""
        return {"rawboost": {"kinds": list(self.kinds), "seed": self.seed}}


class RawBoost(Augmentation[RawBoostValues]):
    """Applies RawBoost."""

    name: ClassVar[str] = "rawboost"

    def __init__(self, params: RawBoostParams, sample_rate: int) -> None:
        self._params = params
        self._sample_rate = sample_rate

    def draw(self, generator: np.random.Generator, clip: Clip) -> RawBoostValues | None:
        chance, seed = generator.random(2)
        if chance >= self._params.probability:
            return None
        return RawBoostValues(self._params.kinds, int(seed * 2**32))

    def apply(self, waveform: Waveform, values: RawBoostValues, clips: Mapping[str, Waveform]) -> Waveform:
        """Applies the kinds in the paper's order; length and place of the signal are kept."""
        # A generator for each kind, so that one does not alter what another draws.
        generators = np.random.SeedSequence(values.seed).spawn(3)
        if "convolutive" in values.kinds:
            waveform = convolutive(waveform, self._sample_rate, np.random.default_rng(generators[0]))
        if "impulsive" in values.kinds:
            waveform = impulsive(waveform, np.random.default_rng(generators[1]))
        if "stationary" in values.kinds:
            waveform = stationary(waveform, self._sample_rate, np.random.default_rng(generators[2]))
        return waveform


def convolutive(waveform: Waveform, sample_rate: int, generator: np.random.Generator) -> Waveform:
    """Linear and non-linear convolutive noise (section 2.2): the sum of the filtered powers 1 to 5 of the waveform.

    The powers above 1 are 5 to 20 dB weaker. The mean is removed; a result that leaves [-1, 1] is scaled down.
    """
    uniform = _uniform(generator)
    result = np.zeros(len(waveform), np.float32)
    power = np.ones(len(waveform), np.float32)
    for order in range(_ORDERS):
        power *= waveform
        gain_db = uniform(*_HARMONICS_DB) if order else 0.0
        filtered = filter_linear_phase(power, notch_filter(sample_rate, uniform))
        result += filtered * np.float32(exact_power(10, gain_db / 20.0))
    return limit_peak(result - np.float32(total(result) / len(result)))


def impulsive(waveform: Waveform, generator: np.random.Generator) -> Waveform:
    """Impulsive, signal-dependent noise (section 2.3): up to a tenth of the samples changes by up to twice its value.

    Each sample is hit with the drawn share as its probability. A result that leaves [-1, 1] is scaled down.
    """
    share = _LARGEST_SHARE * generator.random()
    chance, first, second = generator.random((3, len(waveform)))
    factors = _IMPULSE_GAIN * (2.0 * first - 1.0) * (2.0 * second - 1.0)
    return limit_peak(waveform * np.where(chance < share, 1.0 + factors, 1.0).astype(np.float32))


def stationary(waveform: Waveform, sample_rate: int, generator: np.random.Generator) -> Waveform:
    """Stationary, signal-independent noise (section 2.4): filtered white noise at a ratio of 10 to 40 dB."""
    uniform = _uniform(generator)
    noise = white_noise(len(waveform), generator)
    coloured = filter_linear_phase(noise, notch_filter(sample_rate, uniform))
    return add_noise(waveform, coloured, uniform(*_SNR_DB))


def notch_filter(sample_rate: int, uniform: Uniform) -> Taps:
    """Five band-stop filters in series, with drawn centres, widths and lengths; the largest gain is 1.

    Args:
        sample_rate: Hz.
        uniform: Draws a value between two bounds.

    Returns:
        float64 [taps], an odd number, symmetric.
    """
    taps = np.ones(1)
    for _ in range(_NOTCHES):
        centre, width = uniform(*_CENTRES_HZ), uniform(*_WIDTHS_HZ)
        n_taps = int(uniform(_TAPS[0], _TAPS[1] + 1)) // 2 * 2 + 1
        low, high = max(centre - width / 2.0, 0.001), min(centre + width / 2.0, sample_rate / 2.0 - 0.001)
        # A notch above half the sample rate has no frequency to stop.
        if low < high:
            taps = _in_series(taps, band_stop(low / sample_rate, high / sample_rate, n_taps))
    return taps / peak_gain(taps)


def band_stop(low: float, high: float, n_taps: int) -> Taps:
    """A band-stop filter under a Hamming window, as `scipy.signal.firwin` makes it.

    Args:
        low: Lower edge in cycles per sample.
        high: Upper edge in cycles per sample.
        n_taps: An odd number.
    """
    half = n_taps // 2
    taps = windowed_sinc(low, half, HAMMING) - windowed_sinc(high, half, HAMMING)
    taps[half] += 1.0
    taps /= total(taps)
    return taps


def _in_series(first: Taps, second: Taps) -> Taps:
    """The taps of two filters in series, their convolution: sums in a fixed order, which `numpy.convolve` does not promise."""
    result: npt.NDArray[np.float64] = np.zeros(len(first) + len(second) - 1)
    for place, tap in enumerate(second.tolist()):
        result[place : place + len(first)] += tap * first
    return result


def _uniform(generator: np.random.Generator) -> Uniform:
    return lambda low, high: low + (high - low) * float(generator.random())
