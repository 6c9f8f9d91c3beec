"""The charts with one line per split: ROC, precision and recall, DET, calibration."""

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, Final

from model.report.charts.traces import (
    SPLIT_LINES,
    SPLIT_SYMBOLS,
    Chart,
    Record,
    Trace,
    curve,
    operating_point,
    reference,
    shares_chart,
)
from model.report.words import error_rates, percent

Plots = Mapping[str, Sequence[Record]]
Metrics = Mapping[str, Mapping[str, Any]]

_DET_TICKS: Final = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)


def roc(plots: Plots, metrics: Metrics) -> Chart:
    """Share of genuine clips accepted against share of fakes accepted.

    Args:
        plots: Records of each split.
        metrics: Metrics of each split.
    """
    data = [curve(split, plots[split], "false_alarm", "hit", "fakes accepted", "genuine accepted") for split in plots]
    for split in plots:
        miss, false_alarm = error_rates(metrics[split])
        data.append(operating_point(split, false_alarm, 1 - miss))
    data.append(reference([0, 1], [0, 1], "chance"))
    areas = ", ".join(f"{metrics[split]['auc']:.3f} on {split}" for split in plots)
    caption = f"The nearer to the upper left corner, the better. Area under the curve: {areas}; 0.5, the dotted line, is chance."
    return shares_chart("roc", "ROC curve", caption, data, "fakes accepted", "genuine accepted")


def precision_recall(plots: Plots, metrics: Metrics) -> Chart:
    """Share of genuine clips among those accepted against share of genuine clips accepted; arguments as in `roc`."""
    data = [curve(split, plots[split], "recall", "precision", "recall", "precision") for split in plots]
    data += [operating_point(split, metrics[split]["recall"], metrics[split]["precision"]) for split in plots]
    main = "eval" if "eval" in plots else next(iter(plots))
    chance = metrics[main]["n_bonafide"] / metrics[main]["n_trials"]
    data.append(reference([0, 1], [chance, chance], "chance"))
    values = ", ".join(f"{metrics[split]['average_precision']:.3f} on {split}" for split in plots)
    caption = (
        f"Of the clips that it calls bona fide, the share that is. Average precision: {values}; guessing gives {chance:.2f}, "
        f"the share of genuine clips in {main}."
    )
    return shares_chart(
        "precision-recall",
        "Precision and recall",
        caption,
        data,
        "recall: genuine accepted",
        "precision: accepted and genuine",
    )


def det(plots: Plots, metrics: Metrics) -> Chart:
    """Both error rates on normal-deviate axes (Martin et al., Eurospeech 1997); arguments as in `roc`."""
    normal = NormalDist()
    data = [_det_curve(split, records) for split, records in plots.items()]
    deviates = [value for line in data for axis in ("x", "y") for value in line[axis]]
    low, high = (min(deviates), max(deviates)) if deviates else (-2.5, 1.0)
    ends = [max(low, normal.inv_cdf(_DET_TICKS[0])) - 0.1, min(high, normal.inv_cdf(_DET_TICKS[-1])) + 0.1]
    data.append(reference(ends, ends, "equal errors"))
    ticks = [rate for rate in _DET_TICKS if ends[0] <= normal.inv_cdf(rate) <= ends[1]]
    axis = {
        "range": ends,
        "tickvals": [round(normal.inv_cdf(rate), 6) for rate in ticks],
        "ticktext": [f"{100 * rate:g}%" for rate in ticks],
        "tickangle": 0,
        "zeroline": False,
    }
    rates = ", ".join(f"{percent(metrics[split]['eer'])} on {split}" for split in plots)
    caption = (
        f"Lower left is better. Where a curve crosses the dotted diagonal both errors are equally frequent: {rates}."
    )
    layout = {
        "xaxis": {**axis, "title": {"text": "fakes accepted"}},
        "yaxis": {**axis, "title": {"text": "genuine rejected"}},
    }
    return Chart("det", "DET curve", caption, {"data": data, "layout": layout})


def calibration(plots: Plots, metrics: Metrics, prior: float) -> Chart:
    """Observed share of bona fide against stated probability of bona fide.

    Args:
        plots: Records of each split.
        metrics: Metrics of each split.
        prior: Probability of bona fide that the stated probabilities assume.
    """
    data: list[Trace] = []
    for split, records in plots.items():
        line = curve(split, records, "predicted", "observed", "it said", "it was")
        data.append({**line, "mode": "lines+markers", "marker": {"size": 8, "symbol": SPLIT_SYMBOLS[split]}})
    data.append(reference([0, 1], [0, 1], "perfect"))
    costs = []
    for split in plots:
        before = metrics[split].get("cllr_before_calibration")
        text = f"{metrics[split]['cllr']:.2f} bit on {split}"
        costs.append(text if before is None else f"{text} ({before:.2f} before calibration)")
    caption = (
        f"On the diagonal, clips called genuine with 70\u202f% are genuine in 70\u202f% of cases, at a prior of "
        f"{percent(prior, 0)}. Fitted on dev. Cllr: {', '.join(costs)}; 0 is perfect, 1 is worthless."
    )
    return shares_chart(
        "calibration", "Calibration", caption, data, "stated probability of bona fide", "observed share of bona fide"
    )


def _det_curve(split: str, records: Sequence[Record]) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": split,
        "x": [record["false_alarm_deviate"] for record in records],
        "y": [record["miss_deviate"] for record in records],
        "customdata": [[record["false_alarm"], record["miss"]] for record in records],
        "line": SPLIT_LINES[split],
        "hovertemplate": "fakes accepted %{customdata[0]:.1%}<br>genuine rejected %{customdata[1]:.1%}"
        f"<extra>{split}</extra>",
    }
