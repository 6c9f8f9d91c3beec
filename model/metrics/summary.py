"""Every metric of one split as a dictionary of scalars; metrics.json uses its names, and docs/metrics.md explains them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from model.metrics.asv import AsvErrorRates, AsvScores, asv_error_rates, refuse_other_corpus
from model.metrics.breakdown import by_attack, eer_statistic, widen_if_no_error
from model.metrics.calibration import refit, reliability_diagram
from model.metrics.classification import auc_of_curve, average_precision_of_curve, classify_curve
from model.metrics.detection_cost import (
    act_dcf_of_curve,
    cllr_of_curve,
    log_losses,
    min_cllr_of_curve,
    min_dcf_of_curve,
)
from model.metrics.intervals import Cluster, Drawing, Interval, bootstrap, can_draw, drawn_cluster
from model.metrics.rates import DetCurve, eer_of_curve, rocch_eer_of_curve, warn_if_inverted
from model.metrics.score_table import ScoreTable
from model.metrics.tandem import T_DCFS, t_eer_of_curve, undefined_costs


@dataclass(frozen=True)
class MetricInfo:
    """What people are told of a headline metric.

    Attributes:
        title: Name for people.
        unit: "%" for fractions shown in per cent, "bit", or "" for a normalised cost or an area.
        lower_is_better: True if a lower value is better.
        meaning: Explanation in plain words.
    """

    title: str
    unit: str
    lower_is_better: bool
    meaning: str


HEADLINES: Mapping[str, MetricInfo] = {
    "eer": MetricInfo("EER", "%", True, "how often it is wrong when both errors are equally frequent"),
    "rocch_eer": MetricInfo("ROCCH-EER", "%", True, "the same for the best possible recalibration"),
    "min_tdcf_2019": MetricInfo("min t-DCF 2019", "", True, "cost in front of a voice login, 2019 rules"),
    "min_tdcf_2021": MetricInfo("min t-DCF 2021", "", True, "cost in front of a voice login, 2021 rules"),
    "min_dcf": MetricInfo("minDCF", "", True, "cost at the best threshold, fakes being rare"),
    "act_dcf": MetricInfo("actDCF", "", True, "cost at the threshold that theory asks for"),
    "cllr": MetricInfo("Cllr", "bit", True, "quality of scores as probabilities; 1 is worthless"),
    "auc": MetricInfo("ROC AUC", "", False, "how often a genuine clip outscores a fake; 0.5 is guessing"),
    "average_precision": MetricInfo("average precision", "", False, "how pure the top of the ranking is"),
    "accuracy": MetricInfo("accuracy", "%", False, "how often the verdict is right"),
    "balanced_accuracy": MetricInfo(
        "balanced accuracy", "%", False, "how often the verdict is right, both classes counting half"
    ),
    "precision": MetricInfo("precision", "%", False, "how often “bona fide” is true"),
    "recall": MetricInfo("recall", "%", False, "how many genuine clips are called so"),
    "f1": MetricInfo("F1", "", False, "precision and recall in one"),
}


class CheckInfo(NamedTuple):
    """What people are told of a number that checks scores as probabilities, or the verdicts of the abstain band.

    Attributes:
        title: Name for people.
        unit: As in `MetricInfo`.
        meaning: Explanation in plain words.
    """

    title: str
    unit: str
    meaning: str


CHECKS: Mapping[str, CheckInfo] = {
    "min_cllr": CheckInfo(
        "min Cllr", "bit", "Cllr after the best recalibration; the rest of Cllr is lost by calibration"
    ),
    "expected_calibration_error": CheckInfo("ECE", "%", "mean distance of probabilities from observed shares"),
    "calibration_slope": CheckInfo("calibration slope", "", "1 is honest; below 1, scores claim more than they know"),
    "calibration_offset": CheckInfo("calibration offset", "", "0 is honest; above 0, scores speak too often for spoof"),
    "uncertain": CheckInfo("uncertain", "%", "verdicts in the uncertain band"),
    "certain_wrong": CheckInfo("certain but wrong", "%", "wrong verdicts outside the uncertain band, of all clips"),
    "wrong_of_certain": CheckInfo("wrong of certain", "%", "the same, of the clips outside the band"),
    "bonafide_uncertain": CheckInfo("bona fide uncertain", "%", "genuine clips in the uncertain band"),
    "bonafide_wrong": CheckInfo(
        "bona fide called spoof", "%", "genuine clips below the band; dev keeps the stated rate"
    ),
    "spoof_uncertain": CheckInfo("spoof uncertain", "%", "fakes in the uncertain band"),
    "spoof_wrong": CheckInfo("spoof called bona fide", "%", "fakes above the band; dev keeps the stated rate"),
}
"""Numbers beside the headlines; `calibration_checks` and `band_outcomes` compute them."""


def calibration_checks(table: ScoreTable, prior: float = 0.5) -> dict[str, float]:
    """How honest scores are as log-likelihood ratios: the calibration's part of `CHECKS`.

    Args:
        table: Log-likelihood ratios of both classes. Slope and offset are absent if all are equal.
        prior: Of bona fide, for the probabilities of the ECE and for the refit.

    Raises:
        MetricsError: The prior is out of range.
    """
    diagram = reliability_diagram(table.bonafide, table.spoof, prior=prior)
    checks = {
        "min_cllr": min_cllr_of_curve(table.curve),
        "expected_calibration_error": diagram.expected_calibration_error,
    }
    if not table.is_constant:
        line = refit(table.bonafide, table.spoof, prior)
        checks |= {"calibration_slope": line.slope, "calibration_offset": line.offset}
    return checks


def headline_statistic(
    table: ScoreTable, threshold: float, asv: AsvErrorRates | None = None
) -> Callable[[DetCurve], dict[str, float]]:
    """Makes a function that computes every headline metric from a DET curve of a table or of its resamples.

    Args:
        table: The scores; the function accepts only DET curves with these scores.
        threshold: Score from which a trial is called bona fide, from dev.
        asv: ASV error rates, for the t-DCF; they are the same for every resample. A version that is not defined with them
            (`undefined_costs`) is left out.
    """
    losses = log_losses(table.curve.scores)
    undefined = {} if asv is None else undefined_costs(asv)
    tandem = {} if asv is None else {name: cost for name, cost in T_DCFS.items() if name not in undefined}

    def statistic(curve: DetCurve) -> dict[str, float]:
        at_threshold = classify_curve(curve, threshold)
        values = {
            "eer": eer_of_curve(curve).value,
            "rocch_eer": rocch_eer_of_curve(curve),
            "auc": auc_of_curve(curve),
            "average_precision": average_precision_of_curve(curve),
            "accuracy": at_threshold.accuracy,
            "balanced_accuracy": at_threshold.balanced_accuracy,
            "precision": at_threshold.precision,
            "recall": at_threshold.recall,
            "f1": at_threshold.f1,
            "min_dcf": min_dcf_of_curve(curve),
            "act_dcf": act_dcf_of_curve(curve),
            "cllr": cllr_of_curve(curve, losses),
        }
        if asv is not None:
            values |= {name: cost(curve, asv) for name, cost in tandem.items()}
        return values

    return statistic


def dev_threshold(dev: ScoreTable) -> float:
    """The threshold chosen on dev: the score at its EER, from which a trial is called bona fide.

    Warns:
        InvertedLabelsWarning: The EER is above 50 %.
    """
    value, threshold = eer_of_curve(dev.curve)
    warn_if_inverted(value, f"{dev.source}: ")
    return threshold


def summarise(
    table: ScoreTable,
    *,
    threshold: float | None = None,
    asv: AsvScores | None = None,
    same_corpus: bool = False,
    n_resamples: int = 0,
    cluster: Drawing = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Every metric of one split.

    Args:
        table: The scores.
        threshold: Score from which a trial is called bona fide, from dev. None takes the EER threshold of these
            scores, which is right for dev and too optimistic for any other split.
        asv: ASV scores of the same corpus; without them the t-DCF and the t-EER are absent.
        same_corpus: As `stated_same` of `refuse_other_corpus`.
        n_resamples: Resamples for the 95 % intervals; 0 = none.
        cluster: As in `bootstrap`. Intervals per attack draw single trials.
        seed: Seed of the draws.

    Returns:
        Scalars: the names of `HEADLINES`, each with `…_ci95_low` and `…_ci95_high` if there are resamples; the EER's interval
        also by what else can be drawn, as `eer_clip_ci95_low`, `eer_speaker_…` and `eer_attack_…`; `miss` and `false_alarm` at
        the threshold; `eer_threshold`, `threshold`, `n_bonafide`, `n_spoof`, `n_trials`; `asv_eer` and `t_eer` if there are ASV
        scores; and `per_attack`: `eer`, `false_alarm` and `n_spoof` of each attack.

    Raises:
        MetricsError: The ASV scores belong to another corpus, or the cluster of a trial is unknown.

    Warns:
        InvertedLabelsWarning: The EER is above 50 %.
    """
    own = eer_of_curve(table.curve)
    warn_if_inverted(own.value, f"{table.source}: ")
    applied = own.threshold if threshold is None else threshold
    rates = None
    if asv is not None:
        refuse_other_corpus(asv, table, stated_same=same_corpus)
        rates = asv_error_rates(asv)
    statistic = headline_statistic(table, applied, rates)
    n_bonafide, n_spoof = int(table.curve.n_bonafide), int(table.curve.n_spoof)

    summary: dict[str, Any] = dict(statistic(table.curve))
    miss, false_alarm = table.curve.rates(applied)
    summary |= {"eer_threshold": own.threshold, "threshold": applied, "miss": miss, "false_alarm": false_alarm}
    summary |= {"n_bonafide": n_bonafide, "n_spoof": n_spoof, "n_trials": n_bonafide + n_spoof}
    if asv is not None and rates is not None:
        summary["asv_eer"] = rates.eer
        tandem = t_eer_of_curve(table.curve, asv)
        if tandem is not None:
            summary["t_eer"] = tandem
    if n_resamples:
        drawn = drawn_cluster(table, cluster)
        found = bootstrap(table, statistic, n_resamples=n_resamples, cluster=drawn, seed=seed)
        found |= _eer_intervals(table, drawn, n_resamples, seed)
        summary |= _ends(found, own.value, min(n_bonafide, n_spoof))
    summary["per_attack"] = _per_attack(table, applied, n_resamples, seed)
    return summary


def _ends(intervals: Mapping[str, Interval], eer: float, n_trials: int) -> dict[str, float]:
    """Both ends of each interval by name; those of the EER are not narrower than `n_trials` of the smaller class allow."""
    ends = {}
    for name, interval in intervals.items():
        if name.startswith("eer"):
            interval = widen_if_no_error(interval, eer, n_trials)
        ends[f"{name}_ci95_low"], ends[f"{name}_ci95_high"] = interval
    return ends


def _eer_intervals(table: ScoreTable, drawn: Cluster | None, n_resamples: int, seed: int) -> dict[str, Interval]:
    """The interval of the EER by everything that can be drawn and was not, as `eer_clip`, `eer_speaker` and `eer_attack`.

    One of them alone says little: that of single clips is the narrowest, and it does not tell of other attacks.
    """
    drawings: dict[str, Cluster | None] = {"clip": None, "speaker": "speaker", "attack": "attack"}
    return {
        f"eer_{name}": bootstrap(table, eer_statistic, n_resamples=n_resamples, cluster=other, seed=seed)["eer"]
        for name, other in drawings.items()
        if other != drawn and (other is None or can_draw(table, other))
    }


def _per_attack(table: ScoreTable, threshold: float, n_resamples: int, seed: int) -> dict[str, dict[str, float]]:
    result = {}
    for part in by_attack(table, threshold=threshold, n_resamples=n_resamples, seed=seed):
        if part.eer is None or part.false_alarm is None:
            continue
        result[part.name] = {"eer": part.eer, "false_alarm": part.false_alarm, "n_spoof": part.n_spoof}
        if part.eer_interval is not None:
            result[part.name] |= {"eer_ci95_low": part.eer_interval.low, "eer_ci95_high": part.eer_interval.high}
    return result
