"""The metrics of trials of one class: how often they are called the other one, since there is no equal error rate."""

from typing import Any

from model.metrics.breakdown import by_attack, widen_if_no_error
from model.metrics.intervals import Drawing, bootstrap
from model.metrics.rates import DetCurve
from model.metrics.score_table import ScoreTable


def summarise_one_class(
    table: ScoreTable, threshold: float, *, n_resamples: int = 0, cluster: Drawing = None, seed: int = 0
) -> dict[str, Any]:
    """What can be told of one class alone.

    Args:
        table: The scores, at least one, all of one class.
        threshold: Score from which a trial is called bona fide, from dev.
        n_resamples: Resamples for the 95 % intervals; 0 = none.
        cluster: As in `bootstrap`.
        seed: Seed of the draws.

    Returns:
        `miss` if all are bona fide, `false_alarm` if all are spoof, with `…_ci95_low` and `…_ci95_high` if there are resamples;
        `threshold`, `n_bonafide`, `n_spoof`, `n_trials`; and `per_attack`: `false_alarm` and `n_spoof` of each attack.
    """
    n_bonafide, n_spoof = len(table.bonafide), len(table.spoof)
    name = "miss" if n_bonafide else "false_alarm"

    def rate(curve: DetCurve) -> dict[str, float]:
        rates = curve.miss if n_bonafide else curve.false_alarm
        return {name: float(rates[curve.point(threshold)])}

    value = rate(table.curve)[name]
    summary: dict[str, Any] = {name: value, "threshold": threshold}
    summary |= {"n_bonafide": n_bonafide, "n_spoof": n_spoof, "n_trials": n_bonafide + n_spoof}
    if n_resamples:
        interval = bootstrap(table, rate, n_resamples=n_resamples, cluster=cluster, seed=seed)[name]
        interval = widen_if_no_error(interval, value, n_bonafide + n_spoof)
        summary[f"{name}_ci95_low"], summary[f"{name}_ci95_high"] = interval
    summary["per_attack"] = {
        part.name: {"false_alarm": part.false_alarm, "n_spoof": part.n_spoof}
        for part in by_attack(table, threshold=threshold)
    }
    return summary
