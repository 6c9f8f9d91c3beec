"""Histograms of a measure by class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store.figures import draw_histograms, histogram_edges, new_figure

values = st.lists(st.floats(-1e6, 1e6), max_size=30)


@given(values)
def test_edges_span_an_interval_whatever_the_values(values: list[float]) -> None:
    edges = histogram_edges(np.array(values))
    assert len(edges) == 41
    assert edges[0] < edges[-1]
    assert np.all(np.diff(edges) >= 0)


def test_outliers_do_not_stretch_the_axis_but_are_counted() -> None:
    measured = np.append(np.linspace(0, 1, 999), 1e6)
    edges = histogram_edges(measured)
    assert edges[-1] < 2
    axis = new_figure(4, 3).add_subplot()
    draw_histograms(axis, {"bona_fide": measured, "spoof": np.array([])}, edges)
    _, labels = axis.get_legend_handles_labels()
    assert labels == ["bona fide"]
    assert sum(patch.get_height() for patch in axis.patches[:40]) == pytest.approx(1)
