"""Costs of a countermeasure (CM) that guards a speaker verification (ASV) system.

A tandem accepts a trial if both systems accept it. t-DCF and t-EER rate the tandem; a-DCF rates any system with one score that is
high only for the genuine voice of the claimed speaker. The two versions of t-DCF are different numbers, and so are the a-DCFs of
Shim et al. and of ASVspoof 5. Lower is better.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.metrics.asv import AsvErrorRates, AsvScores
from model.metrics.errors import MetricsError
from model.metrics.rates import DetCurve, FloatArray, check_scores, det_curve


@dataclass(frozen=True)
class TandemCostModel:
    """Priors and costs of trials of a voice login.

    Attributes:
        p_target: Prior of a target speaker.
        p_nontarget: Prior of another speaker who makes no effort to sound like the target.
        p_spoof: Prior of a spoofing attack.
        c_miss: Cost of rejecting a target, by the ASV system or by the CM.
        c_false_alarm: Cost of accepting a nontarget.
        c_false_alarm_spoof: Cost of accepting a spoof.
    """

    p_target: float
    p_nontarget: float
    p_spoof: float
    c_miss: float
    c_false_alarm: float
    c_false_alarm_spoof: float


ASVSPOOF2019 = TandemCostModel(
    p_target=0.9405, p_nontarget=0.0095, p_spoof=0.05, c_miss=1.0, c_false_alarm=10.0, c_false_alarm_spoof=10.0
)
"""Of both t-DCF versions, in ASVspoof 2019 and 2021."""

SHIM2024 = TandemCostModel(
    p_target=0.9, p_nontarget=0.05, p_spoof=0.05, c_miss=1.0, c_false_alarm=10.0, c_false_alarm_spoof=20.0
)
"""Of a-DCF, in Shim et al. 2024."""

ASVSPOOF5_TRACK2 = ASVSPOOF2019
"""Of a-DCF, in ASVspoof 5: the priors and costs of its t-DCF, which are those of 2019 (Wang et al., "ASVspoof 5: Crowdsourced
Speech Data, Deepfakes, and Adversarial Attacks at Scale", 2024; the organisers' evaluation package sets them so)."""


def min_tdcf_2019(
    bonafide: npt.ArrayLike, spoof: npt.ArrayLike, asv: AsvErrorRates, model: TandemCostModel = ASVSPOOF2019
) -> float:
    """Minimum normalised t-DCF of ASVspoof 2019, in [0, 1]; 1 is the cost of always giving the same answer."""
    return min_tdcf_2019_of_curve(det_curve(bonafide, spoof), asv, model)


def min_tdcf_2019_of_curve(curve: DetCurve, asv: AsvErrorRates, model: TandemCostModel = ASVSPOOF2019) -> float:
    """Minimum over thresholds of (C1 · P_miss + C2 · P_fa) / min(C1, C2).

    C1 = p_target · c_miss · (1 − P_miss_asv) − p_nontarget · c_fa · P_fa_asv; C2 = c_fa_spoof · p_spoof · P_fa_spoof_asv.
    The cost of the ASV system alone is left out. Source: Kinnunen et al., "t-DCF: a detection cost function for the
    tandem assessment of spoofing countermeasures and automatic speaker verification", Odyssey 2018; ASVspoof 2019
    evaluation plan.

    Raises:
        MetricsError: The cost is not defined with this ASV system: it is too poor, or it accepts no spoof.
    """
    miss_weight = (
        model.p_target * model.c_miss * (1 - asv.miss) - model.p_nontarget * model.c_false_alarm * asv.false_alarm
    )
    spoof_weight = model.c_false_alarm_spoof * model.p_spoof * asv.spoof_false_alarm
    _require_defined(miss_weight, spoof_weight)
    cost = miss_weight * curve.miss + spoof_weight * curve.false_alarm
    return float(cost.min() / min(miss_weight, spoof_weight))


def min_tdcf_2021(
    bonafide: npt.ArrayLike, spoof: npt.ArrayLike, asv: AsvErrorRates, model: TandemCostModel = ASVSPOOF2019
) -> float:
    """Minimum normalised t-DCF of ASVspoof 2021, in (0, 1]; a perfect CM does not reach 0, since the ASV system errs, too."""
    return min_tdcf_2021_of_curve(det_curve(bonafide, spoof), asv, model)


def min_tdcf_2021_of_curve(curve: DetCurve, asv: AsvErrorRates, model: TandemCostModel = ASVSPOOF2019) -> float:
    """Minimum over thresholds of (C0 + C1 · P_miss + C2 · P_fa) / (C0 + min(C1, C2)).

    C0 = p_target · c_miss · P_miss_asv + p_nontarget · c_fa · P_fa_asv; C1 = p_target · c_miss − C0;
    C2 = p_spoof · c_fa_spoof · P_fa_spoof_asv. Source: Kinnunen et al., "Tandem assessment of spoofing countermeasures and
    automatic speaker verification: fundamentals", IEEE/ACM TASLP 28 (2020).

    Raises:
        MetricsError: The cost is not defined with this ASV system: it is too poor.
    """
    asv_cost = model.p_target * model.c_miss * asv.miss + model.p_nontarget * model.c_false_alarm * asv.false_alarm
    miss_weight = model.p_target * model.c_miss - asv_cost
    spoof_weight = model.p_spoof * model.c_false_alarm_spoof * asv.spoof_false_alarm
    _require_defined(miss_weight, spoof_weight, asv_cost)
    cost = asv_cost + miss_weight * curve.miss + spoof_weight * curve.false_alarm
    return float(cost.min() / (asv_cost + min(miss_weight, spoof_weight)))


T_DCFS: Mapping[str, Callable[[DetCurve, AsvErrorRates], float]] = {
    "min_tdcf_2019": min_tdcf_2019_of_curve,
    "min_tdcf_2021": min_tdcf_2021_of_curve,
}
"""Every version of the t-DCF by its name in metrics."""


def undefined_costs(asv: AsvErrorRates) -> dict[str, str]:
    """The versions of the t-DCF that are not defined with an ASV system, each with the reason; it does not depend on the CM."""
    any_curve = DetCurve(np.array([0.0, 1.0]), np.array([1.0, 1.0]), np.array([1.0, 1.0]))
    reasons = {}
    for name, cost in T_DCFS.items():
        try:
            cost(any_curve, asv)
        except MetricsError as error:
            reasons[name] = str(error)
    return reasons


def t_eer(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, asv: AsvScores) -> float | None:
    """Concurrent tandem equal error rate, in [0, 1]; see `t_eer_of_curve`."""
    return t_eer_of_curve(det_curve(bonafide, spoof), asv)


def t_eer_of_curve(curve: DetCurve, asv: AsvScores) -> float | None:
    """Error rate at the pair of thresholds at which misses, accepted nontargets and accepted spoofs are equally frequent.

    It needs no priors and no costs. CM and ASV scores are taken as independent within a kind of trial:
    P_miss = P_miss_cm + (1 − P_miss_cm) · P_miss_asv; P_fa_nontarget = (1 − P_miss_cm) · P_fa_asv;
    P_fa_spoof = P_fa_cm · P_fa_spoof_asv. Source: Kinnunen et al., "t-EER: parameter-free tandem evaluation of countermeasures
    and biometric comparators", IEEE TPAMI 2023.

    Returns:
        The rate, or None if no pair of thresholds makes the three equal, for example with an ASV system that accepts fewer
        spoofs than nontargets.
    """
    thresholds = np.unique(np.concatenate((asv.target, asv.nontarget, asv.spoof)))
    asv_miss = _fraction_below(asv.target, thresholds)
    asv_false_alarm = 1 - _fraction_below(asv.nontarget, thresholds)
    asv_spoof = 1 - _fraction_below(asv.spoof, thresholds)

    # For every ASV threshold, bisection finds the CM threshold at which misses and accepted spoofs are equally frequent:
    # misses rise with the CM threshold, accepted spoofs fall.
    possible = asv_miss <= asv_spoof
    if not possible.any():
        return None
    asv_miss, asv_false_alarm, asv_spoof = asv_miss[possible], asv_false_alarm[possible], asv_spoof[possible]
    low = np.zeros(len(asv_miss), dtype=np.int64)
    high = np.full(len(asv_miss), len(curve.miss) - 1)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        below = curve.miss[middle] + (1 - curve.miss[middle]) * asv_miss <= curve.false_alarm[middle] * asv_spoof
        low, high = np.where(below, middle, low), np.where(below, high, middle)

    # Between two CM thresholds, and between two ASV thresholds, the crossing is interpolated.
    def tandem(point: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray, FloatArray]:
        passed: FloatArray = 1 - curve.miss[point]
        rejected: FloatArray = curve.miss[point] + passed * asv_miss
        return rejected, passed * asv_false_alarm, curve.false_alarm[point] * asv_spoof

    miss, nontarget, spoof = tandem(low)
    next_miss, next_nontarget, next_spoof = tandem(high)
    share = (spoof - miss) / np.maximum(spoof - miss + next_miss - next_spoof, np.finfo(np.float64).tiny)
    miss = miss + share * (next_miss - miss)
    surplus = nontarget + share * (next_nontarget - nontarget) - miss
    crossings = np.flatnonzero((surplus[:-1] > 0) & (surplus[1:] <= 0))
    if not crossings.size:
        return None
    before = crossings[0]
    share = surplus[before] / (surplus[before] - surplus[before + 1])
    return float(miss[before] + share * (miss[before + 1] - miss[before]))


def a_dcf(
    target: npt.ArrayLike,
    nontarget: npt.ArrayLike,
    spoof: npt.ArrayLike,
    model: TandemCostModel = SHIM2024,
) -> float:
    """Minimum normalised architecture-agnostic detection cost, in [0, 1].

    The score is high only for the genuine voice of the claimed speaker. Minimum over thresholds of
    (c_miss · p_target · P_miss + c_fa · p_nontarget · P_fa + c_fa_spoof · p_spoof · P_fa_spoof), divided by the lower of
    the costs of accepting everything and of rejecting everything. Source: Shim et al., "a-DCF: an architecture agnostic
    metric with application to spoofing-robust speaker verification", Odyssey 2024.

    Args:
        target: float64 [t], scores of the claimed speaker's genuine trials.
        nontarget: float64 [u], scores of other speakers' genuine trials.
        spoof: float64 [v], scores of spoof trials.
        model: Priors and costs, such as `SHIM2024` and `ASVSPOOF5_TRACK2`.
    """
    wanted = check_scores(target, "target")
    impostor, fake = check_scores(nontarget, "nontarget"), check_scores(spoof, "spoof")
    thresholds = np.concatenate((np.unique(np.concatenate((wanted, impostor, fake))), [np.inf]))
    miss_weight = model.c_miss * model.p_target
    nontarget_weight = model.c_false_alarm * model.p_nontarget
    spoof_weight = model.c_false_alarm_spoof * model.p_spoof
    cost = (
        miss_weight * _fraction_below(wanted, thresholds)
        + nontarget_weight * (1 - _fraction_below(impostor, thresholds))
        + spoof_weight * (1 - _fraction_below(fake, thresholds))
    )
    return float(cost.min() / min(miss_weight, nontarget_weight + spoof_weight))


def _fraction_below(scores: FloatArray, thresholds: FloatArray) -> FloatArray:
    below: FloatArray = np.searchsorted(np.sort(scores), thresholds, side="left") / len(scores)
    return below


def _require_defined(miss_weight: float, spoof_weight: float, asv_cost: float = 0.0) -> None:
    if miss_weight > 0 and spoof_weight >= 0 and asv_cost + min(miss_weight, spoof_weight) > 0:
        return
    if spoof_weight == 0:
        raise MetricsError(
            "the t-DCF is not defined with this ASV system: it accepts no spoof, so the countermeasure has nothing to guard"
        )
    raise MetricsError(
        f"the t-DCF is not defined with this ASV system: its cost weights are {miss_weight:.4f} (CM misses) and "
        f"{spoof_weight:.4f} (CM false alarms), both must be positive. Are target and nontarget scores the right way round?"
    )
