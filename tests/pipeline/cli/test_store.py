"""`bonafide store`: what people and scripts get to see of a feature store."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.store import FeatureStore
from pipeline.store.schema import INDEX_SCHEMA
from tests.support.child_process import run_script
from tests.support.synthetic_store import manifest_of, small_params, write_store

Run = Callable[..., tuple[int, str]]
MANIFEST = manifest_of()
SHOW = """
import json, sys
from bonafide import main
try:
    main()
except SystemExit as end:
    status = end.code
print(json.dumps([status, sorted({"numba", "scipy", "pandas"} & set(sys.modules))]))
"""
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli_store") / "store"
    write_store(path, MANIFEST, small_params(), missing={"LA_T_0000004"})
    return path


@pytest.fixture
def run(run_bonafide: Run) -> Run:
    return lambda *arguments: run_bonafide("store", *arguments)


def parsed(text: str) -> dict:
    """The JSON object on standard output, which comes first."""
    value, _ = json.JSONDecoder().raw_decode(text)
    return value


def test_verify_of_an_intact_store_ends_with_0(run: Run, folder: Path, tmp_path: Path) -> None:
    code, text = run("verify", folder)
    assert code == 0
    assert "intact" in text
    pq.write_table(MANIFEST, tmp_path / "manifest.parquet")
    code, text = run("verify", folder, "--manifest", tmp_path / "manifest.parquet", "--json")
    assert code == 0
    assert parsed(text) == {"store": str(folder), "ok": True, "findings": []}


def test_verify_of_a_damaged_store_ends_with_1_and_names_the_shard(run: Run, tmp_path: Path) -> None:
    write_store(tmp_path, MANIFEST, small_params())
    path = tmp_path / "dev" / "dev-00000-of-00002.tfrecord"
    path.write_bytes(path.read_bytes() + b"x")
    code, text = run("verify", tmp_path)
    assert code == 1
    assert "dev-00000-of-00002" in text
    assert "bonafide features" in text
    code, text = run("verify", tmp_path, "--json")
    assert code == 1
    assert {finding["file"] for finding in parsed(text)["findings"]} == {"dev/dev-00000-of-00002.tfrecord"}


def test_verify_of_no_store_is_an_error_without_traceback(run: Run, tmp_path: Path) -> None:
    code, text = run("verify", tmp_path)
    assert code == 1
    assert "no feature store" in text
    assert "Traceback" not in text


def test_show_loads_nothing_that_computes(folder: Path) -> None:
    assert run_script(SHOW, "store", "show", str(folder)) == [0, []]


def test_show_tells_splits_attacks_front_end_and_augmentation(run: Run, folder: Path) -> None:
    code, text = run("show", folder)
    assert code == 0
    for part in (
        "train",
        "eval",
        "A01",
        "bona fide",
        "log_mel",
        "4 bins",
        "1 copy",
        FeatureStore.open(folder).config_fingerprint,
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100


def test_show_json_has_counts_and_parameters(run: Run, folder: Path) -> None:
    shown = parsed(run("show", folder, "--json")[1])
    assert shown["splits"]["train"]["rejects"] == 1
    assert shown["attacks"]["A01"] == {"train": 2, "dev": 2, "eval": 2}
    assert shown["parameters"]["features"]["n_mels"] == 4


def test_get_writes_array_and_picture(run: Run, folder: Path, tmp_path: Path) -> None:
    code, text = run(
        "get", "LA_T_0000003", "--copy", 1, "--store", folder, "--npy", tmp_path / "x.npy", "--png", tmp_path / "x.png"
    )
    assert code == 0
    assert "noise_snr_db" in text
    example = FeatureStore.open(folder).get("LA_T_0000003", 1)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), example.features)
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)


def test_get_json_is_the_row_of_the_index(run: Run, folder: Path) -> None:
    shown = parsed(run("get", "LA_D_0000001", "--store", folder, "--json")[1])
    row = FeatureStore.open(folder).row("LA_D_0000001")
    assert {name: shown[name] for name in row} == row | {"augmentation": {}}
    assert shown["min_db"] <= shown["mean_db"] <= shown["max_db"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["LA_T_0000004"], "the file was rejected, missing"),
        (["LA_T_0000003", "--copy", 5], "it has copies 0, 1"),
        (["LA_X"], "bonafide store select"),
    ],
)
def test_get_of_what_is_not_there_says_why(run: Run, folder: Path, arguments: list[object], text: str) -> None:
    code, printed = run("get", *arguments, "--store", folder)
    assert code == 1
    assert text in printed


def test_select_writes_csv_with_every_column(run: Run, folder: Path, tmp_path: Path) -> None:
    code, _ = run("select", "--store", folder, "--split", "train", "--label", "bonafide", "--csv", tmp_path / "x.csv")
    assert code == 0
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert list(rows[0]) == INDEX_SCHEMA.names
    expected = FeatureStore.open(folder).select(split="train", label=1).index
    assert [row["utterance_id"] for row in rows] == expected["utterance_id"].to_pylist()


def test_select_to_standard_output(run: Run, folder: Path) -> None:
    code, text = run("select", "--store", folder, "--attack", "A01", "--attack", "A02", "--copy", 0, "--csv", "-")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(text.rpartition("\n")[0].rpartition("\n")[0])))
    assert {row["attack_id"] for row in rows} == {"A01", "A02"}
    shown = json.loads(run("select", "--store", folder, "--min-duration", 0.08, "--json")[1])
    assert all(row["duration_s"] >= 0.08 for row in shown)


@pytest.mark.parametrize(
    ("option", "name", "told"),
    [
        ("--split", "evaluation", "'train', 'dev', 'eval'"),
        ("--attack", "A1", "has the attack A1; there are A01, A02"),
        ("--speaker", "nobody", "has the speaker nobody; there are "),
    ],
)
def test_select_refuses_names_that_the_store_does_not_have(
    option: str, name: str, told: str, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, text = run("select", "--store", folder, option, name)
    assert code != 0
    assert told in text


def test_select_shows_a_table(run: Run, folder: Path) -> None:
    code, text = run("select", "--store", folder, "--split", "dev")
    assert code == 0
    assert "6 examples" in text
    assert "LA_D_0000005" in text


def test_stats_tells_every_measure_per_class(run: Run, folder: Path, tmp_path: Path) -> None:
    code, text = run("stats", folder, "--plot", tmp_path / "stats.png")
    assert code == 0
    for part in ("duration, s", "leading silence, s", "level, dB", "of 4 bins"):
        assert part in text
    assert (tmp_path / "stats.png").read_bytes().startswith(PNG)
    shown = parsed(run("stats", folder, "--json")[1])
    assert len(shown["bins"]["mean_db"]) == 4
    assert shown["train"]["bona_fide"] == 3
    assert set(shown["train"]["measures"]["level_db"]["spoof"]) == {"mean", "p05", "p25", "median", "p75", "p95"}


def test_diff_of_equal_stores_ends_with_0(run: Run, folder: Path) -> None:
    code, text = run("diff", folder, folder)
    assert code == 0
    assert "equal byte for byte" in text


def test_diff_tells_parameters_and_utterances(run: Run, folder: Path, tmp_path: Path) -> None:
    rows = MANIFEST.to_pylist()
    rows[1] |= {"sha256": "0" * 64}
    rows[2] |= {"label": 1, "attack_id": None}
    rows[3] |= {"utterance_id": "LA_T_9999999"}
    other = MANIFEST.from_pylist(rows, schema=MANIFEST.schema)
    write_store(tmp_path, other, small_params(n_mels=6), missing={"LA_T_0000004"})
    code, text = run("diff", folder, tmp_path)
    assert code == 1
    assert "features.n_mels 4 → 6" in text
    shown = parsed(run("diff", folder, tmp_path, "--json")[1])
    assert shown["added"] == ["LA_T_9999999"]
    assert shown["removed"] == ["LA_T_0000003"]
    assert shown["changed"] == {"LA_T_0000001": ["audio"], "LA_T_0000002": ["label", "attack_id"]}
    assert not shown["same"]
