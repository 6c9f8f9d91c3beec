"""The curves of the training, one chart per quantity."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from model.report.charts.traces import SPLIT_LINES, Chart, Trace, note, vertical
from model.report.words import percent

Points = Sequence[tuple[int, float]]

_TITLES: Final = {
    "loss": "Loss (binary cross-entropy)",
    "eer": "Equal error rate",
    "auc": "Area under the ROC curve",
    "accuracy": "Accuracy",
}
_FEW_EPOCHS: Final = 10
_SHARES: Final = ("eer", "accuracy")


def training_curves(curves: Mapping[str, Mapping[str, Points]], best_epoch: int) -> list[Chart]:
    """One chart per quantity: its values on train and dev, with the epoch that was kept.

    Args:
        curves: By quantity and by split, (epoch, value) pairs.
        best_epoch: The epoch that was kept.
    """
    return [_chart(name, by_split, best_epoch) for name, by_split in curves.items()]


def _chart(name: str, by_split: Mapping[str, Points], best_epoch: int) -> Chart:
    shares = name in _SHARES
    last = max((points[-1][0] for points in by_split.values() if points), default=best_epoch)
    at_best = {split: dict(points).get(best_epoch) for split, points in by_split.items()}
    values = " and ".join(
        f"{percent(value) if shares else f'{value:.3f}'} on {split}"
        for split, value in at_best.items()
        if value is not None
    )
    epochs: dict[str, Any] = {"title": {"text": "epoch"}, "tickformat": "d"}
    if last <= _FEW_EPOCHS:
        # Plotly would put ticks at halves and round their labels.
        epochs["dtick"] = 1
    layout = {
        "xaxis": epochs,
        "yaxis": {"tickformat": ".0%" if shares else None, "rangemode": "tozero" if name == "loss" else "normal"},
        "shapes": [vertical(best_epoch, "dot")],
        "annotations": [note(best_epoch, f"kept: epoch {best_epoch}", "left" if 2 * best_epoch > last else "right")],
    }
    caption = f"Epoch {best_epoch} was kept" + (f", with {values}." if values else ".")
    data = [_line(split, points, ".1%" if shares else ".3f") for split, points in by_split.items()]
    return Chart(f"training-{name}", _TITLES[name], caption, {"data": data, "layout": layout})


def _line(split: str, points: Points, value_format: str) -> Trace:
    return {
        "type": "scatter",
        # A line through one or two points needs markers to be seen.
        "mode": "lines+markers" if len(points) < 3 else "lines",
        "name": split,
        "x": [epoch for epoch, _ in points],
        "y": [value for _, value in points],
        "line": SPLIT_LINES["eval" if split == "dev" else split],
        "hovertemplate": f"epoch %{{x}}<br>%{{y:{value_format}}}<extra>{split}</extra>",
    }
