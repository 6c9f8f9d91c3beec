"""Data validation: balance and distributions of the originals, rejects per class, and the shortcut probe."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.data_validation import FEWEST_CLIPS, shortcuts_of, uneven_rejects_of, validate
from model.evaluation.validation_files import read_report, write_report
from pipeline.store.describe import MEASURES
from pipeline.store.schema import INDEX_SCHEMA, REJECTS_SCHEMA


def index_row(number: int, label: int | None, copy: int = 0, split: str = "train", **changes: Any) -> dict[str, Any]:
    draw = np.random.default_rng(number)
    return {
        "utterance_id": f"LA_T_{number:07d}",
        "split": split,
        "speaker_id": f"LA_{number % 4:04d}",
        "attack_id": "A03" if label == 0 else None,
        "label": label,
        "copy": copy,
        "augmentation": "{}",
        "duration_s": float(draw.uniform(1, 4)),
        "leading_silence_s": float(draw.uniform(0, 0.5)),
        "trailing_silence_s": float(draw.uniform(0, 0.5)),
        "source_duration_s": 3.0,
        "decoder": "flac",
        "level_db": float(draw.normal(-25, 4)),
        "peak_db": float(draw.normal(-6, 2)),
        "band_edge_hz": float(draw.normal(6000, 500)),
        "n_frames": 100,
        "shard": "train-00000-of-00001",
        "offset": 0,
        "length": 10,
        "sha256": "0" * 64,
        **changes,
    }


def index_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=INDEX_SCHEMA)


def clips(n: int = 400, change: Callable[[int, int], dict[str, Any]] = lambda number, label: {}) -> pa.Table:
    rows = [index_row(number, number % 2, **change(number, number % 2)) for number in range(n)]
    return index_of(rows)


def rejects_of(labels: list[int | None], reason: str = "silent") -> pa.Table:
    rows = [
        {"utterance_id": f"R{number}", "split": "train", "label": label, "path": "x", "reason": reason, "detail": "d"}
        for number, label in enumerate(labels)
    ]
    return pa.Table.from_pylist(rows, schema=REJECTS_SCHEMA)


NO_REJECTS = rejects_of([])


def test_properties_drawn_alike_for_both_classes_are_no_shortcut() -> None:
    report = validate(clips(), NO_REJECTS)
    assert set(report["train"]["shortcut_eer"]) == set(MEASURES)
    assert all(0.42 <= eer <= 0.5 for eer in report["train"]["shortcut_eer"].values())
    assert report["shortcuts"] == 0


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("sign", [1, -1])
def test_every_measure_that_separates_the_classes_is_told_in_either_direction(measure: str, sign: int) -> None:
    def change(number: int, label: int) -> dict[str, Any]:
        return {measure: 10.0 + sign * label + number / 10000}

    report = validate(clips(change=change), NO_REJECTS)
    assert report["train"]["shortcut_eer"][measure] == 0.0
    (shortcut,) = shortcuts_of(report)
    assert (shortcut.split, shortcut.measure, shortcut.eer) == ("train", measure, 0.0)
    assert shortcut.bona_fide - shortcut.spoof == pytest.approx(sign, abs=0.01)


def test_eer_of_shifted_normals_is_the_closed_form() -> None:
    def change(number: int, label: int) -> dict[str, Any]:
        return {"level_db": float(np.random.default_rng(number + 10_000).normal(2.0 * label, 1.0))}

    report = validate(clips(4000, change), NO_REJECTS)
    assert report["train"]["shortcut_eer"]["level_db"] == pytest.approx(0.158655, abs=0.015)  # Φ(−2/2)


def test_a_property_that_is_the_same_for_all_clips_is_chance() -> None:
    report = validate(clips(change=lambda number, label: {"leading_silence_s": 0.0}), NO_REJECTS)
    assert report["train"]["shortcut_eer"]["leading_silence_s"] == 0.5


def test_few_clips_are_described_but_never_warned_of() -> None:
    few = clips(2 * FEWEST_CLIPS - 2, lambda number, label: {"duration_s": 1.0 + label})
    report = validate(few, NO_REJECTS)
    assert report["train"]["shortcut_eer"]["duration_s"] == 0.0
    assert shortcuts_of(report) == []


def test_augmented_copies_do_not_count() -> None:
    rows = [index_row(number, number % 2) for number in range(10)]
    copies = [index_row(number, number % 2, copy=1, duration_s=99.0) for number in range(10)]
    assert validate(index_of(rows + copies), NO_REJECTS) == validate(index_of(rows), NO_REJECTS)


def test_balance_counts_classes_attacks_speakers_and_rejects() -> None:
    rows = [
        index_row(1, 1),
        index_row(2, 0, attack_id="A01"),
        index_row(3, 0, attack_id="A02"),
        index_row(5, 0, attack_id="A02"),
        index_row(4, None, split="eval", speaker_id=None),
    ]
    report = validate(index_of(rows), rejects_of([1, None]))
    train = report["train"]
    assert (train["bona_fide"], train["spoof"], train["unlabelled"]) == (1, 3, 0)
    assert train["attacks"] == {"A01": 1, "A02": 2}
    assert train["speakers"] == 3
    assert train["rejects"] == {"bona_fide": 1, "spoof": 0, "unlabelled": 1}
    assert train["reject_share"] == {"bona_fide": 0.5, "spoof": 0.0}
    assert train["reject_reasons"] == {"silent": {"bona_fide": 1, "spoof": 0, "unlabelled": 1}}
    assert report["eval"]["unlabelled"] == 1
    assert report["eval"]["shortcut_eer"] == {}
    assert "dev" not in report


def test_reject_that_hits_one_class_only_is_seen() -> None:
    (uneven,) = uneven_rejects_of(validate(clips(), rejects_of([0] * 10)))
    assert (uneven.split, uneven.bona_fide) == ("train", 0.0)
    assert uneven.spoof == pytest.approx(10 / 210, abs=1e-6)
    assert uneven_rejects_of(validate(clips(), rejects_of([0, 1] * 10))) == []


def leaves(value: Any) -> list[Any]:
    return [leaf for item in value.values() for leaf in leaves(item)] if isinstance(value, dict) else [value]


@given(st.lists(st.tuples(st.sampled_from([0, 1, None]), st.sampled_from(["train", "dev", "eval"])), max_size=12))
def test_every_store_gives_a_report_of_finite_scalars(clips_of: list[tuple[int | None, str]]) -> None:
    rows = [index_row(number, label, split=split) for number, (label, split) in enumerate(clips_of)]
    report = validate(index_of(rows), NO_REJECTS)
    assert all(isinstance(leaf, int | float) and np.isfinite(leaf) for leaf in leaves(report))
    json.dumps(report, allow_nan=False)


def test_written_report_is_the_same_every_time_and_names_no_place(tmp_path: Path) -> None:
    index = clips(80)
    report = validate(index, NO_REJECTS)
    for name in ("a", "b"):
        write_report(tmp_path / name, report, index)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert {path.name for path in files} == {
        "validation.json",
        "distributions.json",
        "balance.csv",
        "shortcuts.csv",
        "distributions.png",
        *(f"{measure}.csv" for measure in MEASURES),
    }
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    assert read_report(tmp_path / "a") == report
    metrics = json.loads((tmp_path / "a" / "validation.json").read_text())
    assert "measures" not in metrics["train"]
    assert metrics["train"]["shortcut_eer"] == report["train"]["shortcut_eer"]
    rows = list(csv.DictReader((tmp_path / "a" / "plots" / "duration_s.csv").open()))
    assert list(rows[0]) == ["percent", "train_bona_fide", "train_spoof"]
    assert [rows[0]["percent"], rows[-1]["percent"]] == ["0", "100"]


def test_report_of_an_empty_store_can_be_written(tmp_path: Path) -> None:
    write_report(tmp_path, validate(INDEX_SCHEMA.empty_table(), NO_REJECTS), INDEX_SCHEMA.empty_table())
    assert json.loads((tmp_path / "validation.json").read_text()) == {"shortcuts": 0, "uneven_rejects": 0}
