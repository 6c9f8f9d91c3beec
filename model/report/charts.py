"""The interactive charts as plotly figures, plain dictionaries ready for JSON.

Colours are names of the page's own style variables, such as "var(--bona-fide)", which the page's script resolves, so that
charts follow its light and dark looks. No chart tells its lines apart by colour alone: dashes, symbols and hatching differ, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

from model.report.words import error_rates, percent, signed

Figure = dict[str, Any]
Record = Mapping[str, Any]

_DET_TICKS: Final = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
_SPLIT_LINES: Final = {
    "train": {"color": "var(--muted)", "dash": "dot", "width": 2},
    "dev": {"color": "var(--dev)", "dash": "dash", "width": 2},
    "eval": {"color": "var(--accent)", "dash": "solid", "width": 2.5},
}
_SPLIT_SYMBOLS: Final = {"dev": "diamond-open", "eval": "diamond"}
_CURVE_TITLES: Final = {
    "loss": "Loss (binary cross-entropy)",
    "eer": "Equal error rate",
    "auc": "Area under the ROC curve",
    "accuracy": "Accuracy",
}


@dataclass(frozen=True)
class Chart:
    """A chart and what is said beside it.

    Attributes:
        name: Identifier within the page.
        title: Heading.
        caption: How to read it, and what it shows, in words.
        figure: Plotly figure: `data` and `layout`.
    """

    name: str
    title: str
    caption: str
    figure: Figure


def score_histogram(
    plots: Mapping[str, Sequence[Record]], main: str, threshold: float, band: tuple[float, float] | None
) -> Chart:
    """Shares of both classes per score; splits other than the main one start switched off.

    Args:
        plots: Histogram records of each split.
        main: The split shown at first.
        threshold: From which a clip is called bona fide.
        band: The uncertain band.
    """
    data: list[dict[str, Any]] = []
    highest = max(max(record["bona_fide"], record["spoof"]) for record in plots[main])
    for split in sorted(plots, key=lambda name: name != main):
        records = plots[split]
        for column, title, pattern in (("bona_fide", "bona fide", ""), ("spoof", "spoof", "/")):
            colour = f"var(--{title.replace(' ', '-')})"
            data.append(
                {
                    "type": "bar",
                    "name": f"{title}, {split}",
                    "x": [record["score"] for record in records],
                    "y": [record[column] for record in records],
                    "visible": True if split == main else "legendonly",
                    "marker": {
                        "color": colour,
                        "opacity": 0.6,
                        "line": {"width": 0},
                        "pattern": {
                            "shape": pattern,
                            "size": 6,
                            "solidity": 0.35,
                            "bgcolor": colour,
                            "fgcolor": "var(--surface)",
                        },
                    },
                    "hovertemplate": f"score %{{x:.2f}}<br>%{{y:.1%}} of {title}<extra>{split}</extra>",
                }
            )
    shapes: list[dict[str, Any]] = [_vertical(threshold, "dash")]
    annotations = [_note(threshold, "threshold from dev", "right")]
    caption = (
        f"Genuine clips should lie on the right, fakes on the left. The dashed line is the threshold {signed(threshold)}: "
        "what lies to its right is called bona fide."
    )
    if band is not None and band[1] > band[0]:
        shapes.append(
            {
                "type": "rect",
                "xref": "x",
                "yref": "paper",
                "x0": band[0],
                "x1": band[1],
                "y0": 0,
                "y1": 1,
                "fillcolor": "var(--band)",
                "line": {"width": 0},
                "layer": "below",
            }
        )
        caption += f" Within the shaded band, {signed(band[0])} to {signed(band[1])}, the tool answers “uncertain”."
    layout = {
        "barmode": "overlay",
        "bargap": 0.04,
        "xaxis": {"title": {"text": "score (log-likelihood ratio for bona fide)"}},
        # Room above the bars for the note.
        "yaxis": {"title": {"text": "share of the class"}, "tickformat": ".0%", "range": [0, 1.15 * highest]},
        "shapes": shapes,
        "annotations": annotations,
    }
    return Chart("scores", "Scores of both classes", caption, {"data": data, "layout": layout})


def roc(plots: Mapping[str, Sequence[Record]], metrics: Mapping[str, Mapping[str, Any]]) -> Chart:
    """Genuine clips accepted against fakes accepted."""
    data = [_curve(split, plots[split], "false_alarm", "hit", "fakes accepted", "genuine accepted") for split in plots]
    for split in plots:
        miss, false_alarm = error_rates(metrics[split])
        data.append(_operating_point(split, false_alarm, 1 - miss))
    data.append(_reference([0, 1], [0, 1], "chance"))
    areas = ", ".join(f"{metrics[split]['auc']:.3f} on {split}" for split in plots)
    caption = f"The nearer to the upper left corner, the better. Area under the curve: {areas}; 0.5, the dotted line, is chance."
    layout = {
        "xaxis": _share_axis("fakes accepted"),
        "yaxis": _share_axis("genuine accepted"),
    }
    return Chart("roc", "ROC curve", caption, {"data": data, "layout": layout})


def precision_recall(plots: Mapping[str, Sequence[Record]], metrics: Mapping[str, Mapping[str, Any]]) -> Chart:
    """How pure what it accepts is, against how much of the genuine it accepts."""
    data = [_curve(split, plots[split], "recall", "precision", "recall", "precision") for split in plots]
    for split in plots:
        data.append(_operating_point(split, metrics[split]["recall"], metrics[split]["precision"]))
    main = "eval" if "eval" in plots else next(iter(plots))
    chance = metrics[main]["n_bonafide"] / metrics[main]["n_trials"]
    data.append(_reference([0, 1], [chance, chance], "chance"))
    values = ", ".join(f"{metrics[split]['average_precision']:.3f} on {split}" for split in plots)
    caption = (
        f"Of what it calls bona fide, the share that is. Average precision: {values}; guessing gives {chance:.2f}, the share of "
        f"genuine clips in {main}."
    )
    layout = {
        "xaxis": _share_axis("recall: genuine accepted"),
        "yaxis": _share_axis("precision: accepted and genuine"),
    }
    return Chart("precision-recall", "Precision and recall", caption, {"data": data, "layout": layout})


def det(plots: Mapping[str, Sequence[Record]], metrics: Mapping[str, Mapping[str, Any]]) -> Chart:
    """Both error rates on normal-deviate axes (Martin et al., Eurospeech 1997)."""
    normal = NormalDist()
    data: list[dict[str, Any]] = []
    deviates = []
    for split, records in plots.items():
        x = [record["false_alarm_deviate"] for record in records]
        y = [record["miss_deviate"] for record in records]
        deviates += [*x, *y]
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": split,
                "x": x,
                "y": y,
                "customdata": [[record["false_alarm"], record["miss"]] for record in records],
                "line": _SPLIT_LINES[split],
                "hovertemplate": "fakes accepted %{customdata[0]:.1%}<br>genuine rejected %{customdata[1]:.1%}"
                f"<extra>{split}</extra>",
            }
        )
    low, high = (min(deviates), max(deviates)) if deviates else (-2.5, 1.0)
    ends = [max(low, normal.inv_cdf(_DET_TICKS[0])) - 0.1, min(high, normal.inv_cdf(_DET_TICKS[-1])) + 0.1]
    data.append(_reference(ends, ends, "equal errors"))
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


def calibration(plots: Mapping[str, Sequence[Record]], metrics: Mapping[str, Mapping[str, Any]], prior: float) -> Chart:
    """Stated probabilities against what happened."""
    data: list[dict[str, Any]] = []
    for split, records in plots.items():
        line = _curve(split, records, "predicted", "observed", "it said", "it was")
        data.append({**line, "mode": "lines+markers", "marker": {"size": 8, "symbol": _SPLIT_SYMBOLS[split]}})
    data.append(_reference([0, 1], [0, 1], "perfect"))
    parts = []
    for split in plots:
        before = metrics[split].get("cllr_before_calibration")
        text = f"{metrics[split]['cllr']:.2f} bit on {split}"
        parts.append(text if before is None else f"{text} ({before:.2f} before calibration)")
    caption = (
        f"On the diagonal, clips called genuine with 70\u202f% are genuine in 70\u202f% of cases, at a prior of "
        f"{percent(prior, 0)}. Fitted on dev. Cllr: {', '.join(parts)}; 0 is perfect, 1 is worthless."
    )
    layout = {
        "xaxis": _share_axis("stated probability of bona fide"),
        "yaxis": _share_axis("observed share of bona fide"),
    }
    return Chart("calibration", "Calibration", caption, {"data": data, "layout": layout})


def training_curves(curves: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], best_epoch: int) -> list[Chart]:
    """One chart per curve, train and dev, with the epoch that was kept."""
    charts = []
    for name, by_split in curves.items():
        data = []
        shares = name in ("eer", "accuracy")
        for split, points in by_split.items():
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers" if len(points) < 3 else "lines",
                    "name": split,
                    "x": [epoch for epoch, _ in points],
                    "y": [value for _, value in points],
                    "line": _SPLIT_LINES["eval" if split == "dev" else split],
                    "hovertemplate": f"epoch %{{x}}<br>%{{y:{'.1%' if shares else '.3f'}}}<extra>{split}</extra>",
                }
            )
        last = max((points[-1][0] for points in by_split.values() if points), default=best_epoch)
        at_best = {split: dict(points).get(best_epoch) for split, points in by_split.items()}
        values = " and ".join(
            f"{percent(value) if shares else f'{value:.3f}'} on {split}"
            for split, value in at_best.items()
            if value is not None
        )
        layout = {
            "xaxis": {"title": {"text": "epoch"}, "tickformat": "d"},
            "yaxis": {"tickformat": ".0%" if shares else None, "rangemode": "tozero" if name == "loss" else "normal"},
            "shapes": [_vertical(best_epoch, "dot")],
            "annotations": [
                _note(best_epoch, f"kept: epoch {best_epoch}", "left" if 2 * best_epoch > last else "right")
            ],
        }
        caption = f"Epoch {best_epoch} was kept" + (f", with {values}." if values else ".")
        charts.append(Chart(f"training-{name}", _CURVE_TITLES[name], caption, {"data": data, "layout": layout}))
    return charts


def _curve(split: str, records: Sequence[Record], x: str, y: str, x_title: str, y_title: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": split,
        "x": [record[x] for record in records],
        "y": [record[y] for record in records],
        "line": _SPLIT_LINES[split],
        "legendgroup": split,
        "hovertemplate": f"{x_title} %{{x:.1%}}<br>{y_title} %{{y:.1%}}<extra>{split}</extra>",
    }


def _operating_point(split: str, x: float, y: float) -> dict[str, Any]:
    line = _SPLIT_LINES[split]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"threshold, {split}",
        "legendgroup": split,
        "showlegend": False,
        "x": [x],
        "y": [y],
        "marker": {"symbol": _SPLIT_SYMBOLS[split], "size": 11, "color": line["color"]},
        "hovertemplate": f"threshold from dev<br>%{{x:.1%}}, %{{y:.1%}}<extra>{split}</extra>",
    }


def _reference(x: Sequence[float], y: Sequence[float], name: str) -> dict[str, Any]:
    line = {"color": "var(--muted)", "dash": "dot", "width": 1}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": list(y),
        "line": line,
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _share_axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title}, "tickformat": ".0%", "range": [-0.02, 1.02], "zeroline": False}


def _vertical(place: float, dash: str) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": place,
        "x1": place,
        "y0": 0,
        "y1": 1,
        "line": {"color": "var(--ink)", "width": 1.5, "dash": dash},
    }


def _note(x: float, text: str, side: str) -> dict[str, Any]:
    """A note at the top of a vertical line, on its "left" or "right"."""
    return {
        "x": x,
        "y": 1,
        "xref": "x",
        "yref": "paper",
        "text": text,
        "showarrow": False,
        "xanchor": "left" if side == "right" else "right",
        "xshift": 5 if side == "right" else -5,
        "yanchor": "top",
        "font": {"size": 12, "color": "var(--ink)"},
        "bgcolor": "var(--veil)",
    }
