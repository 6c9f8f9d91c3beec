import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.evaluation.curves import plots as plot_data
from model.metrics import score_table, summarise
from model.report import charts
from model.report.charts import Chart
from model.report.words import error_rates

THRESHOLD = 0.4
BAND = (-0.5, 1.0)


@pytest.fixture(scope="module")
def evaluated() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Metrics and plot data of two splits of normal scores."""
    found = {}
    for split, shift in (("dev", 3.0), ("eval", 1.0)):
        draw = np.random.default_rng(len(split))
        scores = np.concatenate([draw.normal(shift, 1, 200), draw.normal(0, 1, 300)])
        table = score_table(
            [str(i) for i in range(500)], scores, [1] * 200 + [0] * 300, ["-"] * 200 + ["A01"] * 300, source=split
        )
        metrics = summarise(table, threshold=THRESHOLD)
        found[split] = (metrics, plot_data(table, THRESHOLD, 0.5, metrics["per_attack"]))
    return found


@pytest.fixture(scope="module")
def all_charts(evaluated: dict[str, tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Chart]:
    metrics = {split: found[0] for split, found in evaluated.items()}

    def plots(name: str) -> dict[str, Any]:
        return {split: found[1][name] for split, found in evaluated.items()}

    made = [
        charts.score_histogram(plots("score_histogram"), "eval", THRESHOLD, BAND),
        charts.roc(plots("roc"), metrics),
        charts.det(plots("det"), metrics),
        charts.precision_recall(plots("precision_recall"), metrics),
        charts.calibration(plots("calibration"), metrics, 0.5),
        *charts.training_curves({"loss": {"train": [(1, 0.7), (2, 0.4)], "dev": [(1, 0.8), (2, 0.6)]}}, 2),
    ]
    return {chart.name: chart for chart in made}


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


def test_charts_are_plain_data_with_titles_and_captions(all_charts: dict[str, Chart]) -> None:
    for chart in all_charts.values():
        assert json.loads(json.dumps(chart.figure, allow_nan=False))["data"]
        assert chart.title
        assert chart.caption


def test_every_colour_is_one_of_the_pages_own(all_charts: dict[str, Chart], repository: Path) -> None:
    style = (repository / "model" / "report" / "style.css").read_text()
    defined = set(re.findall(r"(--[\w-]+):", style))

    used = {
        name
        for chart in all_charts.values()
        for text in strings(chart.figure)
        for name in re.findall(r"--[\w-]+", text)
    }

    assert used
    assert used <= defined
    assert not [
        text for chart in all_charts.values() for text in strings(chart.figure) if re.search(r"#[0-9a-f]{3}|rgb", text)
    ]


def test_splits_and_classes_differ_by_more_than_colour(all_charts: dict[str, Chart]) -> None:
    for name in ("roc", "det", "precision-recall", "calibration"):
        lines = {trace["name"]: trace["line"]["dash"] for trace in all_charts[name].figure["data"] if "line" in trace}
        assert lines["dev"] != lines["eval"]
    bars = {trace["name"]: trace["marker"]["pattern"]["shape"] for trace in all_charts["scores"].figure["data"]}
    assert bars["bona fide, eval"] != bars["spoof, eval"]


def test_the_histogram_shows_the_main_split_and_offers_the_other(all_charts: dict[str, Chart]) -> None:
    visible = {trace["name"]: trace["visible"] for trace in all_charts["scores"].figure["data"]}

    assert visible == {
        "bona fide, eval": True,
        "spoof, eval": True,
        "bona fide, dev": "legendonly",
        "spoof, dev": "legendonly",
    }
    places = [shape["x0"] for shape in all_charts["scores"].figure["layout"]["shapes"]]
    assert places == [THRESHOLD, BAND[0]]


def test_the_threshold_is_marked_where_its_error_rates_are(
    all_charts: dict[str, Chart], evaluated: dict[str, tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    marks = {trace["name"]: trace for trace in all_charts["roc"].figure["data"]}
    for split, (metrics, _) in evaluated.items():
        miss, false_alarm = error_rates(metrics)

        mark = marks[f"threshold, {split}"]

        assert (mark["x"], mark["y"]) == ([pytest.approx(false_alarm)], [pytest.approx(1 - miss)])


def test_normal_scores_are_straight_lines_in_the_det_chart(all_charts: dict[str, Chart]) -> None:
    line = next(trace for trace in all_charts["det"].figure["data"] if trace["name"] == "eval")

    assert np.corrcoef(line["x"], line["y"])[0, 1] < -0.98


def test_separable_scores_have_an_empty_det_curve_and_still_a_chart() -> None:
    metrics = {"eval": {"eer": 0.0}}

    chart = charts.det({"eval": []}, metrics)

    assert chart.figure["layout"]["xaxis"]["tickvals"]


def test_the_kept_epoch_is_marked_and_its_values_are_told(all_charts: dict[str, Chart]) -> None:
    chart = all_charts["training-loss"]

    assert chart.figure["layout"]["shapes"][0]["x0"] == 2
    assert chart.figure["layout"]["xaxis"]["dtick"] == 1, "no tick between two epochs"
    assert chart.caption == "Epoch 2 was kept, with 0.400 on train and 0.600 on dev."
