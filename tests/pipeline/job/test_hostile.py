"""Hostile audio: every file has its reason, all good clips arrive, and no command needs much memory for it."""

import csv
from pathlib import Path

import pytest
import yaml

from pipeline.corpus.manifest import build_manifest
from pipeline.job.clip_marks import ClipMark, clips_in_flight
from pipeline.job.progress import work_in_flight
from pipeline.job.run import run_features
from pipeline.parameter_file import parse_params
from pipeline.params import Params
from pipeline.storage import open_storage
from pipeline.store import FeatureStore
from tests.support.hostile_audio import GOOD, hostile_files, write_hostile_corpus
from tests.support.parameters import project_parameters
from tests.support.peak_memory import run_measured

IN_THIS_PROCESS = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
MOST_EXTRA_KIB = 1 << 20


def job_parameters(root: Path) -> dict[str, dict[str, object]]:
    content = project_parameters()
    content["data"]["root"] = str(root / "corpus.csv")
    content["augment"]["copy_synthesis"]["copies"] = 1
    content["features"]["max_reject_fraction"] = 1.0
    content["store"]["shards"] = 2
    return content


def require_expected(store: FeatureStore, expected: dict[str, frozenset[str]]) -> None:
    """Makes sure that the good clips are in the store, and every other one among the rejects with its reason."""
    found = {row["utterance_id"]: row["reason"] for row in store.rejects().to_pylist()}
    stored = set(store.select(copy=0).index["utterance_id"].to_pylist())
    assert stored == {name for name, reasons in expected.items() if reasons == GOOD}
    wrong = {name: found.get(name) for name, reasons in expected.items() if reasons and found.get(name) not in reasons}
    assert wrong == {}
    assert len(found) + len(stored) == len(expected)


def test_hostile_audio_is_rejected_with_its_reason_and_the_good_clips_arrive(tmp_path: Path) -> None:
    expected = write_hostile_corpus(tmp_path / "corpus")
    assert len(hostile_files()) >= 100
    params = parse_params(job_parameters(tmp_path / "corpus"), "test", Params)
    manifest = build_manifest(tmp_path / "corpus" / "corpus.csv")
    run_features(manifest, tmp_path / "corpus", str(tmp_path / "store"), params, IN_THIS_PROCESS)
    require_expected(FeatureStore.open(str(tmp_path / "store")), expected)


@pytest.mark.slow
def test_hostile_audio_takes_less_than_a_gibibyte_more_than_good_audio(tmp_path: Path) -> None:
    expected = write_hostile_corpus(tmp_path / "corpus")
    good = [f"good_{split}_{number}" for split in ("train", "dev", "eval") for number in range(4)]
    peaks = {}
    for name, names in (("good", set(good)), ("hostile", set(expected))):
        folder = tmp_path / name
        folder.mkdir()
        with (tmp_path / "corpus" / "corpus.csv").open(newline="", encoding="utf-8") as file:
            heading, *rows = csv.reader(file)
        table = tmp_path / "corpus" / f"{name}.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([heading, *(row for row in rows if row[1] in names)])
        content = job_parameters(tmp_path / "corpus")
        content["data"]["root"] = str(table)
        (folder / "params.yaml").write_text(yaml.safe_dump(content))
        for command in (["manifest"], ["features", "--workers", "1"]):
            peaks[name, command[0]], printed = run_measured(command, folder)
        assert "Traceback" not in printed
    require_expected(FeatureStore.open(str(tmp_path / "hostile" / "data" / "features")), expected)
    extra = {command: peaks["hostile", command] - peaks["good", command] for command in ("manifest", "features")}
    print(peaks, extra)
    assert max(extra.values()) < MOST_EXTRA_KIB


def test_a_worker_that_died_leaves_the_clip_it_had_in_hand(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    dead, done = ClipMark(url), ClipMark(url)
    dead.set("train-00001-of-00008", "a_much_longer_name")
    dead.set("train-00001-of-00008", "last")
    done.set("train-00002-of-00008", "other")
    done.clear()
    assert clips_in_flight(url) == {"train-00001-of-00008": "last"}
    assert work_in_flight(open_storage(url), url) == ["train-00001-of-00008 at last"]
    ClipMark(None).set("shard", "clip")
