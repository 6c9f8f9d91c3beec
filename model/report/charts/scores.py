"""The histogram of the scores of both classes."""

from collections.abc import Mapping, Sequence

from model.report.charts.traces import Chart, Record, Trace, note, vertical
from model.report.words import signed


def score_histogram(
    plots: Mapping[str, Sequence[Record]], main: str, threshold: float, band: tuple[float, float] | None
) -> Chart:
    """Share of each class per score; splits other than the main one are hidden until a click in the legend.

    Args:
        plots: Histogram records of each split.
        main: The split that is visible at first.
        threshold: Score from which a clip is called bona fide.
        band: Lowest and highest score of the uncertain band, or None.
    """
    data = [
        _bars(plots[split], column, split, hidden=split != main)
        for split in sorted(plots, key=lambda name: name != main)
        for column in ("bona_fide", "spoof")
    ]
    shapes = [vertical(threshold, "dash")]
    caption = (
        f"Genuine clips should lie on the right, fakes on the left. The dashed line is the threshold {signed(threshold)}: "
        "clips to its right are called bona fide."
    )
    if band is not None and band[1] > band[0]:
        shapes.append(_shaded(*band))
        caption += f" Within the shaded band, {signed(band[0])} to {signed(band[1])}, the tool answers “uncertain”."
    highest = max(max(record["bona_fide"], record["spoof"]) for record in plots[main])
    layout = {
        "barmode": "overlay",
        "bargap": 0.04,
        "xaxis": {"title": {"text": "score (log-likelihood ratio for bona fide)"}},
        # Room above the bars for the note.
        "yaxis": {"title": {"text": "share of the class"}, "tickformat": ".0%", "range": [0, 1.15 * highest]},
        "shapes": shapes,
        "annotations": [note(threshold, "threshold from dev", "right")],
    }
    return Chart("scores", "Scores of both classes", caption, {"data": data, "layout": layout})


def _bars(records: Sequence[Record], column: str, split: str, *, hidden: bool) -> Trace:
    """The bars of one class, which is a column of the records; spoof is hatched."""
    title = column.replace("_", " ")
    colour = f"var(--{column.replace('_', '-')})"
    return {
        "type": "bar",
        "name": f"{title}, {split}",
        "x": [record["score"] for record in records],
        "y": [record[column] for record in records],
        "visible": "legendonly" if hidden else True,
        "marker": {
            "color": colour,
            "opacity": 0.6,
            "line": {"width": 0},
            "pattern": {
                "shape": "/" if column == "spoof" else "",
                "size": 6,
                "solidity": 0.35,
                "bgcolor": colour,
                "fgcolor": "var(--surface)",
            },
        },
        "hovertemplate": f"score %{{x:.2f}}<br>%{{y:.1%}} of {title}<extra>{split}</extra>",
    }


def _shaded(low: float, high: float) -> Trace:
    return {
        "type": "rect",
        "xref": "x",
        "yref": "paper",
        "x0": low,
        "x1": high,
        "y0": 0,
        "y1": 1,
        "fillcolor": "var(--band)",
        "line": {"width": 0},
        "layer": "below",
    }
