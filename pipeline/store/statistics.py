"""Mean and deviation of each bin over the frames of the train originals, summed in float64 in a fixed order.

numpy adds over the first axis row after row, and its + - * / sqrt and conversions round alike on every processor. Nothing here
uses a function for which that does not hold.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

# Features as stored give equal sums on every x86-64 processor; another architecture may differ in the last digits.
_RELATIVE_TOLERANCE: Final = 1e-9
_ABSOLUTE_TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class Statistics:
    """Statistics per bin over all frames of the originals (copy 0) of train.

    Attributes:
        mean: float64 [n_bins], in dB.
        deviation: float64 [n_bins], population standard deviation in dB.
        n_frames: Number of frames.
    """

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]
    n_frames: int

    def agrees_with(self, stated: Mapping[str, Any]) -> bool:
        """Whether these are the statistics that store.json states."""
        return (
            self.n_frames == stated["n_frames"]
            and _nearly_equal(self.mean, stated["mean"])
            and _nearly_equal(self.deviation, stated["deviation"])
        )


class FrameSums:
    """Running sums over frames in float64, which are merged shard by shard.

    Every example is summed on its own and added in the order given, so the result only depends on that order.
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
        """The sums as JSON values, from which the same floats are read back."""
        return {"n_frames": self.n_frames, "total": self.total.tolist(), "squares": self.squares.tolist()}

    def agrees_with(self, stated: Mapping[str, Any]) -> bool:
        """Whether these are the sums that an index part states; without frames, the number of bins does not matter."""
        if self.n_frames == 0 == stated["n_frames"]:
            return True
        return (
            self.n_frames == stated["n_frames"]
            and _nearly_equal(self.total, stated["total"])
            and _nearly_equal(self.squares, stated["squares"])
        )

    def add_sums(self, stated: Mapping[str, Any]) -> None:
        """Adds the sums of a shard, as `as_dict` gives them."""
        self.n_frames += stated["n_frames"]
        self.total += np.array(stated["total"])
        self.squares += np.array(stated["squares"])

    def statistics(self) -> Statistics:
        """Statistics of the frames added; all zero where there is none."""
        frames = max(1, self.n_frames)
        mean = self.total / frames
        # Values are between -200 and 0 dB, so the difference of squares keeps enough digits in float64.
        with np.errstate(invalid="ignore", over="ignore"):  # of a damaged store: the result then agrees with no other
            deviation = np.sqrt(np.maximum(0.0, self.squares / frames - np.square(mean)))
        return Statistics(mean, deviation, self.n_frames)

    @staticmethod
    def merged(parts: Iterable[Mapping[str, Any]], n_bins: int) -> Statistics:
        """Statistics of the sums of several shards, added in the order given."""
        whole = FrameSums(n_bins)
        for part in parts:
            whole.add_sums(part)
        return whole.statistics()


def _nearly_equal(found: npt.NDArray[np.float64], stated: npt.ArrayLike) -> bool:
    expected = np.asarray(stated, dtype=float)
    return found.shape == expected.shape and bool(
        np.allclose(expected, found, rtol=_RELATIVE_TOLERANCE, atol=_ABSOLUTE_TOLERANCE)
    )
