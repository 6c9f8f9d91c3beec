"""Detection costs of ASVspoof 5: the cost of errors at stated priors, and the quality of scores as log-likelihood ratios.

Source: "ASVspoof 5 Evaluation Plan" (2024), section on metrics, and Brümmer and du Preez, "Application-independent evaluation
of speaker detection", Computer Speech and Language 20 (2006), for Cllr. Lower is better throughout.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.metrics.rates import DetCurve, FloatArray, det_curve


@dataclass(frozen=True)
class CostModel:
    """Prior and costs of a countermeasure without an ASV system; the defaults are those of ASVspoof 5.

    Attributes:
        p_spoof: Prior probability of a spoof trial.
        c_miss: Cost of rejecting a bona fide trial.
        c_false_alarm: Cost of accepting a spoof trial.
    """

    p_spoof: float = 0.05
    c_miss: float = 1.0
    c_false_alarm: float = 10.0

    @property
    def miss_weight(self) -> float:
        """c_miss · (1 − p_spoof)."""
        return self.c_miss * (1 - self.p_spoof)

    @property
    def false_alarm_weight(self) -> float:
        """c_false_alarm · p_spoof."""
        return self.c_false_alarm * self.p_spoof

    @property
    def bayes_threshold(self) -> float:
        """The log-likelihood ratio from which accepting costs less: log(false_alarm_weight / miss_weight)."""
        return math.log(self.false_alarm_weight / self.miss_weight)


ASVSPOOF5 = CostModel()


def min_dcf(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, model: CostModel = ASVSPOOF5) -> float:
    """Normalised detection cost at the best threshold, in [0, 1]; 1 is the cost of always giving the same answer."""
    return min_dcf_of_curve(det_curve(bonafide, spoof), model)


def min_dcf_of_curve(curve: DetCurve, model: CostModel = ASVSPOOF5) -> float:
    """Minimum over thresholds of (w_miss · P_miss + w_fa · P_fa) / min(w_miss, w_fa)."""
    cost = model.miss_weight * curve.miss + model.false_alarm_weight * curve.false_alarm
    return float(cost.min() / min(model.miss_weight, model.false_alarm_weight))


def act_dcf(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, model: CostModel = ASVSPOOF5) -> float:
    """Normalised detection cost at the Bayes threshold, 0 or more; meaningful for log-likelihood ratios only.

    Never below `min_dcf`; the difference is the cost of poor calibration.
    """
    return act_dcf_of_curve(det_curve(bonafide, spoof), model)


def act_dcf_of_curve(curve: DetCurve, model: CostModel = ASVSPOOF5) -> float:
    """The cost of `min_dcf_of_curve` at `model.bayes_threshold` (−log 1.9 for ASVspoof 5)."""
    miss, false_alarm = curve.rates(model.bayes_threshold)
    cost = model.miss_weight * miss + model.false_alarm_weight * false_alarm
    return cost / min(model.miss_weight, model.false_alarm_weight)


def cllr(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """Cost of the log-likelihood ratios, in bits, 0 or more; 1 is the cost of a score of 0 for every trial.

    Cllr = ½ · (mean of log2(1 + e^−s) over bona fide + mean of log2(1 + e^s) over spoof).
    """
    return cllr_of_curve(det_curve(bonafide, spoof))


def cllr_of_curve(curve: DetCurve, losses: tuple[FloatArray, FloatArray] | None = None) -> float:
    """Cllr from counts per score; `losses` is `log_losses(curve.scores)` if the caller has computed it already."""
    bonafide_loss, spoof_loss = losses or log_losses(curve.scores)
    bonafide_part = float(np.sum(curve.bonafide_counts * bonafide_loss)) / curve.n_bonafide
    return (bonafide_part + float(np.sum(curve.spoof_counts * spoof_loss)) / curve.n_spoof) / 2


def min_cllr(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """The lowest Cllr that a monotone recalibration of these scores can reach, in bits, in [0, 1]; see `min_cllr_of_curve`."""
    return min_cllr_of_curve(det_curve(bonafide, spoof))


def min_cllr_of_curve(curve: DetCurve) -> float:
    """Cllr after pool-adjacent-violators, which gives the best monotone map to log-likelihood ratios.

    Neighbouring scores are pooled until the ratio of bona fide to spoof never falls. Cllr minus this value is the loss by
    calibration alone (Brümmer and du Preez, "Application-independent evaluation of speaker detection", 2006).
    """
    pools: list[tuple[float, float]] = []
    for n_genuine, n_fake in zip(curve.bonafide_counts.tolist(), curve.spoof_counts.tolist(), strict=True):
        pool = n_genuine, n_fake
        while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
            before = pools.pop()
            pool = before[0] + pool[0], before[1] + pool[1]
        pools.append(pool)
    genuine, fake = np.array(pools).T / [[curve.n_bonafide], [curve.n_spoof]]
    both = (genuine > 0) & (fake > 0)
    ratio = fake[both] / genuine[both]
    return float(genuine[both] @ np.log2(1 + ratio) + fake[both] @ np.log2(1 + 1 / ratio)) / 2


def log_losses(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cost of each log-likelihood ratio if the trial is bona fide, and if it is spoof: two float64 [k], in bits."""
    return np.logaddexp(0, -scores) / math.log(2), np.logaddexp(0, scores) / math.log(2)
