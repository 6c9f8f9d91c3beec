"""The plots of dvc.yaml as DVC draws them from what an evaluation writes: two revisions in every plot."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from model.evaluation.curves import plots
from model.evaluation.evaluation_files import write_plots
from model.metrics import score_table

pytestmark = pytest.mark.filterwarnings("ignore")

SPEC = re.compile(r"var spec = (\{.*?\});\n", re.DOTALL)
N_PER_CLASS = 50


def write_evaluation(root: Path, distance: float) -> None:
    """The data of the plots of both splits, of made-up scores."""
    labels = np.arange(2 * N_PER_CLASS) % 2
    for seed, split in enumerate(("dev", "eval")):
        scores = np.random.default_rng(seed).normal(distance * labels, 1)
        table = score_table([str(number) for number in range(len(labels))], scores, labels)
        attacks = {"A01": {"eer": 0.1}, "A02": {"eer": 0.2}}
        write_plots(root / "reports/evaluation", split, plots(table, distance / 2, 0.5, attacks))


@pytest.fixture(scope="module")
def drawn(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The specification of each plot by its title, from `dvc plots diff` between a commit and the workspace."""
    root = tmp_path_factory.mktemp("plots")
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}

    def run(*command: str) -> None:
        subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)

    run("git", "init", "-q")
    run(sys.executable, "-m", "dvc", "init", "-q")
    shutil.copytree(repository / ".dvc" / "plots", root / ".dvc" / "plots")
    content = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))
    of_evaluation = [
        plot for plot in content["plots"] if "reports/evaluation/plots" in str(plot) and ".json" in str(plot)
    ]
    (root / "dvc.yaml").write_text(yaml.safe_dump({"plots": of_evaluation}))
    write_evaluation(root, 1.0)
    run("git", "add", "--all")
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "first")
    write_evaluation(root, 2.0)
    run(sys.executable, "-m", "dvc", "plots", "diff", "HEAD", "--out", "page")
    specs = [json.loads(text) for text in SPEC.findall((root / "page" / "index.html").read_text(encoding="utf-8"))]
    return {spec["title"]["text"]: spec for spec in specs if spec}  # of a file that is missing: nothing


def marks(spec: Any) -> list[dict[str, Any]]:
    """All marks of a specification, outermost first."""
    if isinstance(spec, list):
        return [mark for part in spec for mark in marks(part)]
    if not isinstance(spec, dict):
        return []
    own = [spec["mark"] if isinstance(spec["mark"], dict) else {"type": spec["mark"]}] if "mark" in spec else []
    return own + [mark for key, part in spec.items() if key not in ("data", "mark") for mark in marks(part)]


def values(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return spec["data"]["values"]


def test_every_plot_is_filled_and_has_both_revisions(drawn: dict[str, dict[str, Any]]) -> None:
    assert set(drawn) >= {"ROC", "DET", "Precision and recall", "Calibration", "Scores on eval", "Confusion on eval"}
    for title, spec in drawn.items():
        assert "<DVC_METRIC" not in json.dumps(spec), title
        assert {row["rev"] for row in values(spec)} == {"HEAD", "workspace"}, title


@pytest.mark.parametrize(
    ("title", "interpolation"), [("ROC", "step-after"), ("DET", "step-after"), ("Precision and recall", "step-before")]
)
def test_curves_of_thresholds_are_steps_with_the_line_of_chance(
    title: str, interpolation: str, drawn: dict[str, dict[str, Any]]
) -> None:
    curve, chance = marks(drawn[title])
    assert (curve["type"], curve["interpolate"]) == ("line", interpolation)
    assert drawn[title]["layer"][0]["encoding"]["order"] is None, "points are drawn in the order of the thresholds"
    assert chance["strokeDash"]
    assert "chance" in chance["tooltip"]


def test_chance_is_what_guessing_gives(drawn: dict[str, dict[str, Any]]) -> None:
    (left, right) = drawn["ROC"]["layer"][1]["data"]["values"]
    assert (left, right) == ({"x": 0, "y": 0}, {"x": 1, "y": 1})
    (left, right) = drawn["DET"]["layer"][1]["data"]["values"]
    assert (left["x"], right["x"]) == (-left["y"], -right["y"]), "one deviate is the negative of the other"
    assert {row["chance"] for row in values(drawn["Precision and recall"])} == {0.5}


def test_histograms_are_bars_from_the_data_and_both_classes_have_a_colour(drawn: dict[str, dict[str, Any]]) -> None:
    spec = drawn["Scores on eval"]
    assert [mark["type"] for mark in marks(spec)] == ["bar"]
    assert {row["field"] for row in values(spec)} == {"bona_fide", "spoof"}
    assert spec["spec"]["encoding"]["y"]["stack"] is None
    shares = [row for row in values(spec) if row["rev"] == "HEAD" and row["field"] == "spoof"]
    assert sum(row["dvc_inferred_y_value"] for row in shares) == pytest.approx(1, abs=1e-4)
    assert all(row["width"] == pytest.approx(shares[0]["width"], abs=1e-5) for row in shares)


def test_confusion_shows_its_counts(drawn: dict[str, dict[str, Any]]) -> None:
    spec = drawn["Confusion on eval"]
    assert [mark["type"] for mark in marks(spec)] == ["rect", "text"]
    assert spec["spec"]["layer"][1]["encoding"]["text"]["field"] == "clips"
    for revision in ("HEAD", "workspace"):
        rows = [row for row in values(spec) if row["rev"] == revision]
        assert len(rows) == 4
        assert sum(row["count"] for row in rows) == 2 * N_PER_CLASS


def test_bars_of_error_rates_begin_at_zero(drawn: dict[str, dict[str, Any]]) -> None:
    for title in ("EER per attack on dev", "EER per attack on eval"):
        assert drawn[title]["encoding"]["x"]["scale"]["zero"] is True
