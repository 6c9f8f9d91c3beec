"""Matplotlib figures as PNG files, and the histogram of a measure by class. The same values give the same bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.files import atomic_path

_COLOURS: Final = {"bona_fide": "#0072b2", "spoof": "#d55e00"}

_BINS: Final = 40

# Ids and attacks are data: without this, a dollar sign in them begins a formula, and a wrong formula ends the drawing.
mpl.rcParams["text.parse_math"] = False

FloatArray = npt.NDArray[np.float64]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, which needs no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG in one step, without the version of matplotlib."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})


def histogram_edges(values: FloatArray) -> FloatArray:
    """Edges of 40 equal bins from the 0.5 % to the 99.5 % quantile of all values, so that outliers do not stretch the axis.

    Args:
        values: float [n]; may be empty.

    Returns:
        float64 [41], in ascending order.
    """
    low, high = np.quantile(values, [0.005, 0.995]) if len(values) else (0.0, 0.0)
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)


def draw_histograms(axis: Any, by_class: Mapping[str, FloatArray], edges: FloatArray) -> None:
    """Draws the distribution of a measure for each class, laid over each other, as shares of the clips of the class.

    Args:
        axis: Matplotlib axes.
        by_class: Values by class, "bona_fide" and "spoof"; an empty class is not drawn.
        edges: Edges of the bins; values beyond them count in the outermost bins.
    """
    for name, values in by_class.items():
        if len(values):
            shown = values.clip(edges[0], edges[-1])
            shares = np.full(len(values), 1 / len(values))
            axis.hist(shown, edges, weights=shares, color=_COLOURS[name], alpha=0.25)
            axis.hist(shown, edges, weights=shares, color=_COLOURS[name], histtype="step", label=name.replace("_", " "))
