"""A small run of each benchmark, and what the runner makes of their rows."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

import benchmarks.__main__ as runner
from benchmarks import harness, peers, tables
from benchmarks.clips import cut_clips

SMALL = {
    "audio": ["--clips", "2"],
    "front_end": ["--clips", "1"],
    "augmentation": ["--clips", "1"],
    "job": ["--clips", "4"],
    "profile": ["--clips", "4"],
    "store": ["--records", "20", "--gets", "50", "--examples", "5", "--clips", "2"],
    "commands": ["--run-clips", "6", "--clips", "2"],
}
KEYS = {"name", "peer", "ratio", "spread", "target", "met", "unit", "note"}


# The commands start a job with workers, which takes a minute of a busy machine.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "commands")) for name in SMALL]
)
def test_a_small_run_gives_figures_with_their_spread_and_names_the_peers_that_are_missing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run_small(name, tmp_path)
    printed = capsys.readouterr().out
    assert all(len(line) <= tables.WIDTH for line in printed.splitlines())
    assert any(row["ratio"] is not None for row in rows)
    for row in rows:
        assert row.keys() >= KEYS
        if row["ratio"] is None:
            assert row["note"].startswith("skipped: ")
            assert row["met"] is None
        else:
            low, high = row["spread"]
            assert 0.0 < low <= row["ratio"] <= high


def run_small(name: str, folder: Path) -> list[dict[str, Any]]:
    file = folder / f"{name}.json"
    module = importlib.import_module(f"benchmarks.bench_{name}")
    module.main([*SMALL[name], "--passes", "1", "--json", str(file)])
    return json.loads(file.read_text(encoding="utf-8"))


def test_a_peer_that_is_not_installed_is_skipped_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(params: object) -> None:
        raise peers.PeerMissingError("kaldi-native-fbank", "bench")

    monkeypatch.setitem(peers.LOG_MELS, "kaldi-native-fbank", missing)
    skipped = [row for row in run_small("front_end", tmp_path) if row["peer"] == "kaldi-native-fbank"]
    assert len(skipped) == 3
    assert "[bench]" in capsys.readouterr().out
    assert {row["note"] for row in skipped} == {
        'skipped: kaldi-native-fbank is not installed (pip install -e ".[bench]")'
    }


def test_two_functions_are_timed_in_turn_and_the_order_changes_from_item_to_item() -> None:
    calls: list[tuple[str, int]] = []
    pairs = harness.in_turn(
        lambda item: calls.append(("own", item)), lambda item: calls.append(("peer", item)), [1, 2], 2, warm=False
    )
    assert len(pairs.ratios) == 2
    assert [item for _, item in calls] == [1, 1, 2, 2] * 2
    assert [who for who, _ in calls] == ["peer", "own", "own", "peer", "own", "peer", "peer", "own"]


def test_a_ratio_is_the_peers_time_over_ours_and_the_spread_that_of_the_passes() -> None:
    pairs = harness.Pairs(own_s=[1.0, 1.0, 2.0], peer_s=[2.0, 3.0, 8.0])
    row = pairs.row("work", "peer", 2.5, 10, "clip")
    assert (row.ratio, row.spread, row.met) == (3.0, (2.0, 4.0), True)
    assert row.note == "100 against 300 ms a clip"


@pytest.mark.parametrize(
    ("unit", "value", "met"), [("x", 2.0, True), ("x", 0.5, False), ("examples/s", 2.0, True), ("ms", 2.0, False)]
)
def test_ratios_and_rates_have_lower_bounds_and_times_upper_bounds(unit: str, value: float, met: bool) -> None:
    assert harness.Row("a", "b", value, (value, value), 1.0, unit).met is met


def test_the_clips_are_the_same_on_every_call(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = cut_clips(tmp_path / "first", 3), cut_clips(tmp_path / "second", 3)
    assert [path.read_bytes() for path in first.paths] == [path.read_bytes() for path in second.paths]
    assert {len(waveform) for waveform in first.waveforms} == {49_600}


def test_the_runner_gathers_the_rows_of_each_benchmark_with_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = harness.Row("work", "peer", 2.0, (1.0, 3.0), 3.0).to_dict()
    monkeypatch.setattr(runner, "run", lambda name, options: [row])
    output = tmp_path / "benchmarks.json"
    assert runner.main(["audio", "job", "--output", str(output)]) == 0
    content = json.loads(output.read_text(encoding="utf-8"))
    assert content["rows"] == [{"benchmark": "audio", **row}, {"benchmark": "job", **row}]
    assert content["machine"]["cores"] >= 1
    assert "numpy" in content["machine"]["versions"]


def test_a_failed_benchmark_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runner, "run", lambda name, options: None)
    assert runner.main(["audio", "--output", str(tmp_path / "benchmarks.json")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_table_fits_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    row = harness.Row(
        "a name of some length, 128/80/40/40", "kaldi-native-fbank", 123.4, (1.0, 130.0), 200.0, note="note"
    )
    tables.print_table("Title", [row.to_dict()])
    printed = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= 100
    assert all(text in printed for text in ("123 ×", "1.00 to 130", "≥ 200", "no, 38 %", "note"))


def test_the_page_shows_a_missed_target_and_by_how_much() -> None:
    row = harness.Row("work", "peer", 1.5, (1.4, 1.6), 3.0).to_dict()
    text = (
        "before\n<!-- benchmarks: job -->\nold\n<!-- end -->\nafter\n<!-- benchmarks: audio -->\nkept\n<!-- end -->\n"
    )
    filled = tables.filled(text, {"job": tables.markdown([row])})
    assert "| work | peer | 1.50 × | 1.40 to 1.60 | ≥ 3.00 | no, 50 % |  |" in filled
    assert "old" not in filled
    assert "kept" in filled
    assert tables.filled(filled, {"job": tables.markdown([row])}) == filled


def test_the_page_has_a_place_for_every_benchmark_and_the_committed_figures(repository: Path) -> None:
    page = (repository / "docs" / "performance.md").read_text(encoding="utf-8")
    results = json.loads(runner.RESULTS.read_text(encoding="utf-8"))
    for name in ("machine", *runner.NAMES):
        assert f"<!-- benchmarks: {name} -->" in page
    for row in results["rows"]:
        assert tables.markdown([row]).splitlines()[-1] in page


def test_steps_of_every_network_are_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from benchmarks import bench_network_steps

    file = tmp_path / "steps.json"
    monkeypatch.setattr("sys.argv", ["bench", "--batches", "2", "--steps", "2", "--json", str(file)])
    bench_network_steps.main()
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["device"].startswith("tensorflow ")
    assert [row["network"] for row in found["rows"]] == ["cnn", "lcnn", "resnet"]
    assert all(0 < low <= middle <= high for low, middle, high in (row["step_ms"] for row in found["rows"]))
