"""The range of scores for which the verdict is "uncertain", chosen on dev for a stated error rate."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.metrics.errors import MetricsError
from model.metrics.rates import DetCurve, check_scores, curve_of_checked, eer_of_curve
from model.metrics.score_table import ScoreTable

IntArray = npt.NDArray[np.int8]

UNCERTAIN = -1


@dataclass(frozen=True)
class AbstainBand:
    """Scores in [low, high) are uncertain; lower scores are spoof, and scores from `high` up are bona fide.

    Attributes:
        low: At most `error_rate` of the dev bona fide trials score below it.
        high: At most `error_rate` of the dev spoof trials score at or above it.
        error_rate: The stated rate, per class.
        bonafide_uncertain: Share of dev bona fide trials in the band.
        spoof_uncertain: Share of dev spoof trials in the band.
    """

    low: float
    high: float
    error_rate: float
    bonafide_uncertain: float
    spoof_uncertain: float

    def verdicts(self, scores: npt.ArrayLike) -> IntArray:
        """int8 of the shape of `scores`: 1 = bona fide, 0 = spoof, −1 = uncertain."""
        values = np.asarray(scores, dtype=np.float64)
        return np.where(values >= self.high, 1, np.where(values < self.low, 0, UNCERTAIN)).astype(np.int8)


def band_outcomes(band: AbstainBand, table: ScoreTable) -> dict[str, float]:
    """What a band does to the trials of a table, as shares in [0, 1].

    Returns:
        `uncertain` and `certain_wrong`, shares of all trials; `wrong_of_certain`, share of the certain verdicts, 0 if there is
        none; `bonafide_uncertain`, `bonafide_wrong`, `spoof_uncertain` and `spoof_wrong`, shares of the class, for each class
        that the table has.
    """
    verdicts = band.verdicts(table.scores)
    uncertain = verdicts == UNCERTAIN
    wrong = ~uncertain & (verdicts != table.labels)
    n_certain = int((~uncertain).sum())
    outcomes = {
        "uncertain": float(uncertain.mean()),
        "certain_wrong": float(wrong.mean()),
        "wrong_of_certain": int(wrong.sum()) / n_certain if n_certain else 0.0,
    }
    for name, label in (("bonafide", 1), ("spoof", 0)):
        of_class = table.labels == label
        if not of_class.any():
            continue
        outcomes |= {
            f"{name}_uncertain": float(uncertain[of_class].mean()),
            f"{name}_wrong": float(wrong[of_class].mean()),
        }
    return outcomes


def abstain_band(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, error_rate: float) -> AbstainBand:
    """The narrowest band that keeps both kinds of error within a stated rate on these scores.

    If the EER is not above the rate, there is no band: low and high are both the EER threshold.

    Args:
        bonafide: float64 [n], dev scores of bona fide trials.
        spoof: float64 [m], dev scores of spoof trials.
        error_rate: Share of each class that may be called the other, in [0, 0.5). Less than 1 / number of trials allows no error.

    Raises:
        MetricsError: A class is missing, a score is not finite, or the rate is out of range.
    """
    curve = curve_of_checked(check_scores(bonafide, "bona fide"), check_scores(spoof, "spoof"))
    return abstain_band_of_curve(curve, error_rate)


def abstain_band_of_curve(curve: DetCurve, error_rate: float) -> AbstainBand:
    """As `abstain_band`, from a DET curve."""
    if not 0 <= error_rate < 0.5:
        raise MetricsError(f"the error rate of an abstain band must be at least 0 and below 0.5, not {error_rate}")
    last_low = int(np.flatnonzero(curve.miss <= error_rate)[-1])
    first_high = int(np.flatnonzero(curve.false_alarm <= error_rate)[0])
    if last_low >= first_high:
        threshold = eer_of_curve(curve).threshold
        point = curve.point(threshold)
        if curve.miss[point] > error_rate or curve.false_alarm[point] > error_rate:
            threshold = curve.threshold(first_high)
        return AbstainBand(threshold, threshold, error_rate, 0.0, 0.0)
    return AbstainBand(
        low=curve.threshold(last_low),
        high=curve.threshold(first_high),
        error_rate=error_rate,
        bonafide_uncertain=float(curve.miss[first_high] - curve.miss[last_low]),
        spoof_uncertain=float(curve.false_alarm[last_low] - curve.false_alarm[first_high]),
    )
