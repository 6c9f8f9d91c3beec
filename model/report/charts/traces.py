"""What several charts share: the chart itself, the style of lines, and the traces, shapes, notes and axes that they draw.

Colours are names of the page's style variables, such as "var(--bona-fide)". The page's script replaces them, so that charts
follow its light and dark styles. Lines differ in more than their colour: in dashes, symbols or hatching.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Record = Mapping[str, Any]
Trace = dict[str, Any]

SPLIT_LINES: Final = {
    "train": {"color": "var(--muted)", "dash": "dot", "width": 2},
    "dev": {"color": "var(--dev)", "dash": "dash", "width": 2},
    "eval": {"color": "var(--accent)", "dash": "solid", "width": 2.5},
}
SPLIT_SYMBOLS: Final = {"dev": "diamond-open", "eval": "diamond"}


@dataclass(frozen=True)
class Chart:
    """A chart and the text beside it.

    Attributes:
        name: Identifier within the page.
        title: Heading.
        caption: How to read it and what it shows, in words.
        figure: Plotly figure: `data` and `layout`.
    """

    name: str
    title: str
    caption: str
    figure: dict[str, Any]


def shares_chart(name: str, title: str, caption: str, data: list[Trace], x_title: str, y_title: str) -> Chart:
    """A chart whose axes both are shares from 0 to 100 %."""
    axis = {"tickformat": ".0%", "range": [-0.02, 1.02], "zeroline": False}
    layout = {"xaxis": {**axis, "title": {"text": x_title}}, "yaxis": {**axis, "title": {"text": y_title}}}
    return Chart(name, title, caption, {"data": data, "layout": layout})


def curve(split: str, records: Sequence[Record], x: str, y: str, x_title: str, y_title: str) -> Trace:
    """The line of a split through two columns of its records, which are shares."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": split,
        "x": [record[x] for record in records],
        "y": [record[y] for record in records],
        "line": SPLIT_LINES[split],
        "legendgroup": split,
        "hovertemplate": f"{x_title} %{{x:.1%}}<br>{y_title} %{{y:.1%}}<extra>{split}</extra>",
    }


def operating_point(split: str, x: float, y: float) -> Trace:
    """A mark on the curve of a split, at the threshold from dev."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"threshold, {split}",
        "legendgroup": split,
        "showlegend": False,
        "x": [x],
        "y": [y],
        "marker": {"symbol": SPLIT_SYMBOLS[split], "size": 11, "color": SPLIT_LINES[split]["color"]},
        "hovertemplate": f"threshold from dev<br>%{{x:.1%}}, %{{y:.1%}}<extra>{split}</extra>",
    }


def reference(x: Sequence[float], y: Sequence[float], name: str) -> Trace:
    """A thin dotted line to compare the curves with, such as chance."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": list(y),
        "line": {"color": "var(--muted)", "dash": "dot", "width": 1},
        "showlegend": False,
        "hoverinfo": "skip",
    }


def vertical(x: float, dash: str) -> dict[str, Any]:
    """A vertical line through the whole chart, as a shape of the layout."""
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": x,
        "x1": x,
        "y0": 0,
        "y1": 1,
        "line": {"color": "var(--ink)", "width": 1.5, "dash": dash},
    }


def note(x: float, text: str, side: str) -> dict[str, Any]:
    """A note at the top of a vertical line, on its "left" or "right", as an annotation of the layout."""
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
