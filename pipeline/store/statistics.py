"""Mean and deviation of each bin over the frames of the train originals, summed in float64 in a fixed order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Statistics:
    """Per-bin statistics over all frames of the originals (copy 0) of train.

    Attributes:
        mean: float64 [n_bins], in dB.
        deviation: float64 [n_bins], population standard deviation in dB.
        n_frames: Frames counted.
    """

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]
    n_frames: int


class FrameSums:
    """Running sums over frames, exact enough to be merged shard by shard.

    Every example is summed on its own and added in the order given, so the result depends on that order alone.
    """

    def __init__(self, n_bins: int) -> None:
        self.n_frames = 0
        self.total = np.zeros(n_bins)
        self.squares = np.zeros(n_bins)

    def add(self, features: npt.NDArray[np.float16]) -> None:
        """Adds an example's frames; `features` is float16 [n_frames, n_bins] in dB."""
        values = features.astype(np.float64)
        self.n_frames += len(values)
        self.total += values.sum(axis=0)
        self.squares += np.square(values).sum(axis=0)

    def as_dict(self) -> dict[str, Any]:
        """The sums as JSON values; floats survive the round trip exactly."""
        return {"n_frames": self.n_frames, "total": self.total.tolist(), "squares": self.squares.tolist()}

    @staticmethod
    def merged(parts: Iterable[Mapping[str, Any]], n_bins: int) -> Statistics:
        """Statistics of the sums of several shards, added in the order given.

        Returns:
            All zeros where there is no frame.
        """
        whole = FrameSums(n_bins)
        for part in parts:
            whole.n_frames += part["n_frames"]
            whole.total += np.array(part["total"])
            whole.squares += np.array(part["squares"])
        frames = max(1, whole.n_frames)
        mean = whole.total / frames
        # Values of -100..0 dB in float64: the difference of squares loses no digit that matters.
        deviation = np.sqrt(np.maximum(0.0, whole.squares / frames - np.square(mean)))
        return Statistics(mean, deviation, whole.n_frames)
