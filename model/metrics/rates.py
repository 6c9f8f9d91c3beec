"""Miss and false-alarm rates at all thresholds (the DET curve), and the equal error rates of that curve.

Scores are log-odds for bona fide (higher = more genuine); a trial is accepted when its score is at or above the threshold.
Equal scores are one step of the curve, so the order of trials changes no result.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.metrics.errors import InvertedLabelsWarning, MetricsError, enumerate_some

FloatArray = npt.NDArray[np.float64]

MIN_DISTINCT_SCORES = 3


@dataclass(frozen=True, eq=False)
class DetCurve:
    """The detection error trade-off of one set of trials, as counts per distinct score.

    Point `i` of the curve accepts every score from `scores[i]` up; the last point accepts none. Counts may be the weights of
    a resample; some of them are then zero.

    Attributes:
        scores: float64 [k], distinct, increasing.
        bonafide_counts: float64 [k], bona fide trials with each score.
        spoof_counts: float64 [k], spoof trials with each score.
    """

    scores: FloatArray
    bonafide_counts: FloatArray
    spoof_counts: FloatArray

    @cached_property
    def _bonafide_below(self) -> FloatArray:
        return np.concatenate(([0.0], np.cumsum(self.bonafide_counts)))

    @cached_property
    def _spoof_below(self) -> FloatArray:
        return np.concatenate(([0.0], np.cumsum(self.spoof_counts)))

    @property
    def n_bonafide(self) -> float:
        """Number of bona fide trials."""
        return float(self._bonafide_below[-1])

    @property
    def n_spoof(self) -> float:
        """Number of spoof trials."""
        return float(self._spoof_below[-1])

    @cached_property
    def miss(self) -> FloatArray:
        """float64 [k + 1], fraction of bona fide rejected at each point, from 0 up to 1."""
        rate: FloatArray = self._bonafide_below / self._bonafide_below[-1]
        return rate

    @cached_property
    def false_alarm(self) -> FloatArray:
        """float64 [k + 1], fraction of spoof accepted at each point, from 1 down to 0."""
        below = self._spoof_below
        rate: FloatArray = (below[-1] - below) / below[-1]
        return rate

    @property
    def thresholds(self) -> FloatArray:
        """float64 [k + 1], the score from which each point accepts; the last is infinite."""
        return np.concatenate((self.scores, [np.inf]))

    def threshold(self, point: int) -> float:
        """A finite threshold for one point of the curve: midway to the next lower score.

        A threshold that equals a score would depend on the digits with which the score was written.
        """
        if point == 0:
            return float(self.scores[0])
        if point == len(self.scores):
            return float(np.nextafter(self.scores[-1], np.inf))
        lower, upper = float(self.scores[point - 1]), float(self.scores[point])
        middle = lower / 2 + upper / 2
        return middle if lower < middle else upper

    def point(self, threshold: float) -> int:
        """Index of the first score that is at least the threshold: the point of the curve with its decisions."""
        return int(np.searchsorted(self.scores, threshold, side="left"))

    def rates(self, threshold: float) -> tuple[float, float]:
        """Miss and false-alarm rate at a threshold."""
        point = self.point(threshold)
        return float(self.miss[point]), float(self.false_alarm[point])


class EqualErrorRate(NamedTuple):
    """Error rate and threshold at which misses and false alarms are equally frequent.

    Attributes:
        value: The rate, in [0, 1]; lower is better, 0.5 is chance.
        threshold: Score from which a trial is accepted at that point.
    """

    value: float
    threshold: float


def det_curve(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> DetCurve:
    """The DET curve of two sets of scores.

    Args:
        bonafide: float64 [n], scores of bona fide trials.
        spoof: float64 [m], scores of spoof trials.

    Raises:
        MetricsError: A class is missing, a score is not finite, or the scores are hard decisions.
    """
    genuine, fake = check_scores(bonafide, "bona fide"), check_scores(spoof, "spoof")
    curve = curve_of_checked(genuine, fake)
    refuse_hard_decisions(len(curve.scores))
    return curve


def curve_of_checked(bonafide: FloatArray, spoof: FloatArray) -> DetCurve:
    """The DET curve of scores that are finite and of both classes; fewer than three distinct scores are accepted."""
    scores, index = np.unique(np.concatenate((bonafide, spoof)), return_inverse=True)
    n = len(bonafide)
    return DetCurve(
        scores,
        np.bincount(index[:n], minlength=len(scores)).astype(np.float64),
        np.bincount(index[n:], minlength=len(scores)).astype(np.float64),
    )


def check_scores(scores: npt.ArrayLike, what: str) -> FloatArray:
    """Scores as float64 [n].

    Raises:
        MetricsError: There are none, or some are NaN or infinite (their positions are named).
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 1:
        raise MetricsError(f"{what} scores must be one-dimensional, not of shape {array.shape}")
    if array.size == 0:
        raise MetricsError(f"there is no {what} score: an error rate needs both classes")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        places = enumerate_some([f"[{i}] = {array[i]}" for i in bad])
        raise MetricsError(f"{bad.size:,} of {array.size:,} {what} scores are not finite: {places}")
    return array


def refuse_hard_decisions(n_distinct: int, where: str = "") -> None:
    """Raises a MetricsError when there are fewer than three distinct scores."""
    if n_distinct < MIN_DISTINCT_SCORES:
        raise MetricsError(
            f"{where}only {n_distinct} distinct score{'s' * (n_distinct != 1)}: these look like hard decisions. "
            "Give soft scores, log-odds for bona fide, not accept/reject flags"
        )


def eer(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> EqualErrorRate:
    """Equal error rate, in [0, 1], lower is better; see `eer_of_curve`.

    Args:
        bonafide: float64 [n], scores of bona fide trials, higher = more genuine.
        spoof: float64 [m], scores of spoof trials.

    Raises:
        MetricsError: As in `det_curve`.

    Warns:
        InvertedLabelsWarning: The rate is above 50 %.
    """
    result = eer_of_curve(det_curve(bonafide, spoof))
    warn_if_inverted(result.value)
    return result


def warn_if_inverted(value: float, where: str = "") -> None:
    """Warns when an EER is above 50 %."""
    if value > 0.5:
        warnings.warn(
            f"{where}EER is {value:.1%}, above 50 %: worse than guessing. Labels may be inverted (1 = bona fide, 0 = spoof), "
            "or the scores point the other way (higher must mean more genuine)",
            InvertedLabelsWarning,
            stacklevel=3,
        )


def eer_of_curve(curve: DetCurve) -> EqualErrorRate:
    """Equal error rate of a DET curve, where miss = false alarm.

    The value is the mean of the two rates at the threshold where they are closest, as is usual in the field. If the curve
    crosses within a group of tied trials, no threshold comes close, and the crossing is interpolated along the group, as if its
    trials came in random order. In both cases the value is within half a trial of the interpolated crossing.
    """
    gap = curve.miss - curve.false_alarm
    after = int(np.searchsorted(gap, 0.0))
    before = after - 1
    nearest = before if -gap[before] <= gap[after] else after
    tied = curve.bonafide_counts[before] + curve.spoof_counts[before] > 1
    if tied:
        share = -gap[before] / (gap[after] - gap[before])
        value = curve.miss[before] + share * (curve.miss[after] - curve.miss[before])
    else:
        value = (curve.miss[nearest] + curve.false_alarm[nearest]) / 2
    return EqualErrorRate(float(value), curve.threshold(nearest))


def rocch_eer(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """Equal error rate of the ROC convex hull, in [0, 0.5], lower is better; see `rocch_eer_of_curve`."""
    return rocch_eer_of_curve(det_curve(bonafide, spoof))


def rocch_eer_of_curve(curve: DetCurve) -> float:
    """Equal error rate of the lower convex hull of a DET curve, where miss = false alarm.

    The hull has the error rates that the best monotone recalibration of the scores, or a random choice between two thresholds,
    can reach (Brümmer and de Villiers, "The BOSARIS Toolkit", 2011). Only the edge that crosses the diagonal is computed: the
    search starts with the chord between both ends of the curve, and the point farthest below the chord becomes a new end until
    no point is below.
    """
    miss, false_alarm = curve.miss, curve.false_alarm
    left, right = 0, len(miss) - 1
    while True:
        rise, run = false_alarm[left] - false_alarm[right], miss[right] - miss[left]
        between = slice(left, right + 1)
        cost = rise * miss[between] + run * false_alarm[between]
        lowest = left + int(np.argmin(cost))
        if lowest in (left, right) or cost[lowest - left] >= cost[0] - 1e-15:
            break
        if miss[lowest] <= false_alarm[lowest]:
            left = lowest
        else:
            right = lowest
    return float((false_alarm[left] * miss[right] - miss[left] * false_alarm[right]) / (rise + run))
