"""What a kind of copy-synthesis is: it draws values for a twin, and resynthesises a waveform with them."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.audio import Waveform
from pipeline.augmentation.base import between

FloatArray = npt.NDArray[np.float64]

_REFERENCE_RATE = 16000


@dataclass(frozen=True)
class Values:
    """What a kind drew for one twin: JSON values."""

    def to_dict(self) -> dict[str, Any]:
        """All values by name."""
        return asdict(self)


DrawnValues = TypeVar("DrawnValues", bound=Values)


class Resynthesis(ABC, Generic[DrawnValues]):
    """One kind of copy-synthesis.

    `draw` and `apply` are pure functions of their arguments. Lengths are drawn in samples at 16 kHz (`samples_at`).

    Attributes:
        name: Identifies the kind in `augment.copy_synthesis.kinds` and, behind `CS-`, as the attack of its twins.
    """

    name: ClassVar[str]

    @abstractmethod
    def draw(self, generator: np.random.Generator) -> DrawnValues:
        """Draws the values of one twin, rounded as the index states them."""

    @abstractmethod
    def apply(self, waveform: Waveform, values: DrawnValues, sample_rate: int) -> FloatArray:
        """Resynthesises a waveform.

        Args:
            waveform: float32 [samples], in [-1, 1], at least 0.05 s.
            values: From `draw`.
            sample_rate: In Hz.

        Returns:
            float64 [samples], of any level; `pipeline.augmentation.copy_synthesis.matching` sets it.
        """


class Draws:
    """Reads a generator value by value, in the order in which a kind asks."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def between(self, low: float, high: float) -> float:
        """An even draw from [low, high), with four decimals."""
        return between((low, high), self._generator.random())

    def choice(self, *options: Any) -> Any:
        """One of the options, each equally likely."""
        return options[int(self._generator.random() * len(options))]

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int(self._generator.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return bool(self._generator.random() < probability)

    def seed(self) -> int:
        """A seed for the random values that `apply` needs."""
        return int(self._generator.random() * 2**32)


def samples_at(sample_rate: int, samples: int) -> int:
    """A length in samples at 16 kHz, at another sample rate: the nearest even number, at least 16."""
    return max(16, 2 * round(samples * sample_rate / (2 * _REFERENCE_RATE)))
