"""A kind of front end runs the whole pipeline, from protocols to a score, by its section of params.yaml alone."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import bonafide
from pipeline.frontends import FeatureParams
from pipeline.store import FeatureStore
from tests.support.front_ends import CQT, LFCC, SHORT_WINDOW
from tests.support.parameters import project_parameters
from tests.support.synthetic_corpus import write_corpus


def run(*arguments: str) -> str:
    result = CliRunner().invoke(bonafide.app, list(arguments))
    assert result.exit_code == 0, f"{arguments}: {result.output}{result.exception!r}"
    return result.output


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small corpus and parameters that make a run short, of the kind `log_linear`."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "LA")
    params: dict[str, Any] = project_parameters()
    params["data"]["root"] = "LA"
    params["features"] = SHORT_WINDOW.model_dump()
    params["train"] |= {"steps": 4, "steps_per_epoch": 4, "channels": [4, 4], "batch_size": 4, "crop_s": 0.25}
    params["evaluate"]["intervals"] = 0
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


def test_log_linear_goes_all_the_way_by_its_kind_and_its_keys(project: Path) -> None:
    run("manifest")
    run("features", "--workers", "1")
    run("store", "verify", "data/features", "--manifest", "data/manifest.parquet")
    store = FeatureStore.open("data/features")
    assert store.features == SHORT_WINDOW.model_copy(update={"max_reject_fraction": 1.0})
    assert store.get("LA_T_0000000").features.shape == (201, 56)
    assert "log_linear, version 3: 56 bins, frequency 125 to 7000 Hz" in " ".join(
        run("store", "show", "data/features").split()
    )
    assert "7000 │" in run("store", "stats", "data/features")

    run("train")
    run("evaluate")
    assert (
        json.loads((project / "data/model/bundle.json").read_text())["front_end"]["parameters"]["kind"] == "log_linear"
    )

    run("report")
    page = (project / "reports/index.html").read_text()
    assert ">125 Hz</span>" in page
    assert ">7.0 kHz</span>" in page
    assert "log-mel" not in page.lower().partition("<script")[0]

    clip = "LA/ASVspoof2019_LA_eval/flac/LA_E_0000000.flac"
    (scored,) = json.loads(run("score", clip, "--json"))
    written = (project / "reports/evaluation/scores/eval.txt").read_text().splitlines()
    assert scored["score"] == pytest.approx(float(next(line for line in written if "LA_E_0000000" in line).split()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("params", "shape", "described", "label"),
    [
        (LFCC, (51, 48), "lfcc, version 1: 48 bins, coefficient 0 to 47, a frame every 10 ms", ">24</span>"),
        (CQT, (51, 70), "cqt, version 1: 70 bins, frequency 125 to 6727 Hz, a frame every 10 ms", ">891 Hz</span>"),
    ],
    ids=["lfcc", "cqt"],
)
def test_other_kinds_go_all_the_way_at_a_level(
    project: Path, params: FeatureParams, shape: tuple[int, int], described: str, label: str
) -> None:
    content = yaml.safe_load((project / "params.yaml").read_text())
    content["features"] = params.model_copy(update={"level_dbfs": -26.0}).model_dump()
    (project / "params.yaml").write_text(yaml.safe_dump(content))

    run("manifest")
    run("features", "--workers", "1")
    run("store", "verify", "data/features", "--manifest", "data/manifest.parquet")
    assert FeatureStore.open("data/features").get("LA_T_0000000").features.shape == shape
    assert described in " ".join(run("store", "show", "data/features").split())
    run("store", "stats", "data/features", "--plot", "store.png")

    for command in ("train", "evaluate", "report", "export"):
        run(command)
    assert label in (project / "reports/index.html").read_text()
    (scored,) = json.loads(run("score", "LA/ASVspoof2019_LA_eval/flac/LA_E_0000000.flac", "--json"))
    assert scored["problem"] is None
