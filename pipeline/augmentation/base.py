"""What a kind of augmentation is: it draws values for a copy of a clip, and applies them to the waveform.

`pipeline.augmentation.augmenter` holds the order of the kinds and gives each its random generator.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.exact import exact_power as exact_power

_DECIMALS = 4


@dataclass(frozen=True)
class Clip:
    """What a draw may depend on, beside random values and parameters.

    Attributes:
        utterance_id: Of the clip that the copy is made of.
        others: Ids of the clips whose waveforms are available, in any order; may contain `utterance_id`.
    """

    utterance_id: str
    others: Collection[str]


class Values(Protocol):
    """What a kind drew for one copy; a frozen dataclass."""

    def to_dict(self) -> dict[str, Any]:
        """The kind's entries in the index column `augmentation`: JSON values, under keys that no other kind uses."""


DrawnValues = TypeVar("DrawnValues", bound=Values)


class Augmentation(ABC, Generic[DrawnValues]):
    """One kind of augmentation, made from its section of the parameters.

    `draw` and `apply` are pure functions of their arguments and the parameters. Neither looks at the label: both classes
    get the same treatment.

    Attributes:
        name: Identifies the kind. Its random values depend on the name, so the name never changes.
    """

    name: ClassVar[str]

    @abstractmethod
    def draw(self, generator: np.random.Generator, clip: Clip) -> DrawnValues | None:
        """Draws the values of one copy; None leaves the kind out.

        The values are rounded, so that those in the index are exactly those that `apply` uses.

        Args:
            generator: Of this kind and copy alone. A kind takes its values in a fixed order and whatever the outcome, so that
                a changed probability or range leaves its other values as they were.
            clip: The clip that is augmented.
        """

    @abstractmethod
    def apply(self, waveform: Waveform, values: DrawnValues, clips: Mapping[str, Waveform]) -> Waveform:
        """Applies drawn values.

        Args:
            waveform: float32 [samples], the result of the kinds before.
            values: From `draw`.
            clips: Waveforms, as decoded, by utterance id; has at least the `others` that `values` names.

        Returns:
            float32 [samples]; may leave [-1, 1], since the augmenter limits the peak in the end.
        """


def generator_of(*key: int | str, skipped: int = 0) -> np.random.Generator:
    """Random values that depend on a key alone, on every platform and in every process the same.

    Args:
        key: Seed, utterance id and whatever else the values depend on.
        skipped: Values to pass over.
    """
    # SHA-256: Python's own hash of text differs from process to process.
    digest = hashlib.sha256(json.dumps(key).encode()).digest()
    bits = np.random.PCG64(np.random.SeedSequence(np.frombuffer(digest, dtype="<u4").tolist()))
    return np.random.Generator(bits.advance(skipped))


def between(bounds: tuple[float, float], draw: float) -> float:
    """Maps a draw in [0, 1) evenly to [low, high], rounded to four decimals."""
    low, high = bounds
    return min(max(round(float(low + draw * (high - low)), _DECIMALS), low), high)
