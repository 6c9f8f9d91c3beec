"""Reverberation: convolution with a simulated impulse response of a room.

The response is the direct sound followed by exponentially decaying Gaussian noise, Polack's model of a diffuse field (Polack
1988, "La transmission de l'énergie sonore dans les salles"; Lehmann and Johansson 2010, "Diffuse reverberation model for
efficient image-source simulation of room impulse responses").
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from pipeline.audio import Waveform
from pipeline.audio.compiled import compiled
from pipeline.augmentation.base import Augmentation, Clip, between, exact_power
from pipeline.augmentation.filters import convolve
from pipeline.augmentation.kernels import mean_power
from pipeline.augmentation.noise import white_noise
from pipeline.augmentation.params import RoomParams

# From the direct sound to the first of the diffuse field, in seconds: a way longer by 0.85 m.
_GAP_S: Final = 0.0025


@dataclass(frozen=True)
class RoomValues:
    """A room.

    Attributes:
        rt60_s: Time in which the reverberation falls by 60 dB, in seconds.
        direct_to_reverberant_db: Energy of the direct sound over that of the reverberation, in dB.
        seed: Of the generator that makes the reverberation.
    """

    rt60_s: float
    direct_to_reverberant_db: float
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """One entry, `room`."""
        return {"room": asdict(self)}


class Room(Augmentation[RoomValues]):
    """Adds reverberation."""

    name: ClassVar[str] = "room"

    def __init__(self, params: RoomParams, sample_rate: int) -> None:
        self._params = params
        self._sample_rate = sample_rate

    def draw(self, generator: np.random.Generator, clip: Clip) -> RoomValues | None:
        chance, rt60, ratio, seed = generator.random(4)
        if chance >= self._params.probability:
            return None
        return RoomValues(
            between(self._params.rt60_s, rt60),
            between(self._params.direct_to_reverberant_db, ratio),
            int(seed * 2**32),
        )

    def apply(self, waveform: Waveform, values: RoomValues, clips: Mapping[str, Waveform]) -> Waveform:
        """Convolves with the room's response; the direct sound stays in its place and the length is kept."""
        return reverberate(waveform, values, self._sample_rate)


def reverberate(waveform: Waveform, values: RoomValues, sample_rate: int) -> Waveform:
    """A waveform in a room, float32 [samples]: as long, and what rings on after its end is cut off."""
    return convolve(waveform, impulse_response(values, sample_rate))


def impulse_response(values: RoomValues, sample_rate: int) -> npt.NDArray[np.float32]:
    """The response of a room until it has fallen by 60 dB, float32 [taps], of energy 1; the direct sound is its first value."""
    gap = math.ceil(_GAP_S * sample_rate)
    response = np.zeros(max(gap + 1, math.ceil(values.rt60_s * sample_rate)), np.float32)
    tail = response[gap:]
    tail[:] = white_noise(len(tail), np.random.default_rng(values.seed))
    # 60 dB within rt60_s, so a factor of 10^-3 in amplitude.
    _decay(tail, exact_power(10, -3.0 / (values.rt60_s * sample_rate)))
    ratio = exact_power(10, values.direct_to_reverberant_db / 10.0)
    # With energies of ratio / (1 + ratio) and 1 / (1 + ratio), stationary sounds keep their power on average.
    response *= np.float32(1.0 / math.sqrt((1.0 + ratio) * mean_power(tail) * len(tail)))
    response[0] = math.sqrt(ratio / (1.0 + ratio))
    return response


@compiled
def _decay(values: Any, factor: float) -> None:
    """Multiplies value i of float32 values by factor^i, in place."""
    envelope = 1.0
    for i in range(len(values)):
        values[i] = values[i] * envelope
        envelope *= factor
