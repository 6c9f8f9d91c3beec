import hashlib
import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpus.manifest import build_manifest, manifest_batches, read_manifest, stratified_subset, write_manifest
from pipeline.corpus.schema import MANIFEST_SCHEMA
from pipeline.corpus.utterances import Utterance
from pipeline.errors import CorpusError, ProtocolError
from tests.support.synthetic_corpus import (
    PROTOCOL_FILES,
    SAMPLE_RATE,
    protocol_lines,
    waveform,
    write_corpus,
    write_protocols,
)

HEADER_FIELDS = ("sample_rate", "channels", "n_samples", "duration_s")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("made") / "LA")


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    """A corpus of its own for a test that changes it."""
    return Path(shutil.copytree(made, tmp_path / "LA"))


def flac(corpus: Path, utterance_id: str) -> Path:
    return next(corpus.glob(f"*/flac/{utterance_id}.flac"))


def rows_by_id(table: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["utterance_id"]: row for row in table.to_pylist()}


def test_there_is_one_row_per_protocol_line_sorted_by_split_and_id(made: Path) -> None:
    table = build_manifest(made)
    assert table.schema.equals(MANIFEST_SCHEMA)
    keys = list(zip(table["split"].to_pylist(), table["utterance_id"].to_pylist(), strict=True))
    lines = [(split, line.split()[1]) for split in PROTOCOL_FILES for line in protocol_lines(split)]
    assert keys == sorted(lines)


def test_a_row_tells_what_protocol_and_file_say(made: Path) -> None:
    path = "ASVspoof2019_LA_train/flac/LA_T_0000001.flac"
    assert rows_by_id(build_manifest(made))["LA_T_0000001"] == {
        "split": "train",
        "utterance_id": "LA_T_0000001",
        "speaker_id": "LA_0001",
        "attack_id": "A01",
        "label": 0,
        "fields": None,
        "path": path,
        "sample_rate": SAMPLE_RATE,
        "channels": 1,
        "n_samples": 8000,
        "decoder": "flac",
        "duration_s": 0.5,
        "sha256": hashlib.sha256((made / path).read_bytes()).hexdigest(),
        "problem": None,
    }


def test_the_manifest_does_not_depend_on_where_the_corpus_is(made: Path, corpus: Path) -> None:
    assert build_manifest(made).equals(build_manifest(corpus))


def test_shuffled_protocols_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    write_manifest(build_manifest(corpus), tmp_path / "straight.parquet")
    lines = {split: protocol_lines(split) for split in PROTOCOL_FILES}
    for split_lines in lines.values():
        random.Random(7).shuffle(split_lines)
    write_protocols(corpus, lines)
    write_manifest(build_manifest(corpus), tmp_path / "shuffled.parquet")
    assert (tmp_path / "straight.parquet").read_bytes() == (tmp_path / "shuffled.parquet").read_bytes()


@pytest.mark.parametrize(("suffix", "folder"), [(".wav", "wav"), (".wav", "flac"), (".flac", "flac")])
def test_audio_may_be_flac_or_wav(tmp_path: Path, suffix: str, folder: str) -> None:
    table = build_manifest(write_corpus(tmp_path, 3, suffix, folder))
    assert table["problem"].null_count == table.num_rows == 9
    assert table["path"][0].as_py() == f"ASVspoof2019_LA_dev/{folder}/LA_D_0000000{suffix}"


def test_other_rates_and_channels_are_told(corpus: Path) -> None:
    stereo = waveform("x", 1.0).reshape(-1, 1).repeat(2, axis=1)
    soundfile.write(flac(corpus, "LA_D_0000002"), stereo, 44_100)
    row = rows_by_id(build_manifest(corpus))["LA_D_0000002"]
    assert (row["sample_rate"], row["channels"], row["n_samples"]) == (44_100, 2, 16_000)
    assert row["duration_s"] == pytest.approx(16_000 / 44_100)


def test_files_that_cannot_be_used_keep_their_row_with_the_problem(corpus: Path) -> None:
    flac(corpus, "LA_T_0000000").unlink()
    flac(corpus, "LA_T_0000001").write_bytes(b"not audio at all")
    flac(corpus, "LA_T_0000002").write_bytes(b"")
    flac(corpus, "LA_T_0000003").unlink()
    (corpus / "ASVspoof2019_LA_train/flac/LA_T_0000003.flac").mkdir()
    flac(corpus, "LA_T_0000004").unlink()
    os.mkfifo(corpus / "ASVspoof2019_LA_train/flac/LA_T_0000004.flac")
    table = build_manifest(corpus)
    rows = rows_by_id(table)
    assert table.num_rows == 27
    assert table["problem"].null_count == 22
    assert rows["LA_T_0000000"]["problem"].startswith("missing: ")
    assert rows["LA_T_0000000"]["path"] == "ASVspoof2019_LA_train/flac/LA_T_0000000.flac"
    assert rows["LA_T_0000001"]["problem"].startswith("unsupported_format: ")
    assert rows["LA_T_0000002"]["problem"].startswith("empty: ")
    assert rows["LA_T_0000003"]["problem"] == "unreadable: a folder, not a file"
    assert rows["LA_T_0000004"]["problem"] == "unreadable: not a regular file"
    for number in range(5):
        assert [rows[f"LA_T_000000{number}"][name] for name in HEADER_FIELDS] == [None] * 4


def test_a_problem_tells_no_place_on_this_machine(corpus: Path) -> None:
    flac(corpus, "LA_T_0000000").unlink()
    flac(corpus, "LA_T_0000001").write_bytes(b"not audio at all")
    assert not any(str(corpus) in (problem or "") for problem in build_manifest(corpus)["problem"].to_pylist())


def test_a_corpus_without_any_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"not one of the 27 audio files was found, the first expected at ASVspoof2019"
    ):
        build_manifest(write_protocols(tmp_path))


def test_a_corpus_with_one_class_in_train_is_refused_before_its_audio_is_read(tmp_path: Path) -> None:
    lines = [line for line in protocol_lines("train") if line.endswith("spoof")]
    with pytest.raises(CorpusError, match="the train split has no bona fide utterance"):
        build_manifest(write_protocols(tmp_path, {"train": lines}))


def test_progress_ends_with_all_files(made: Path) -> None:
    told: list[tuple[int, int]] = []
    list(manifest_batches(made, on_progress=lambda done, total: told.append((done, total))))
    assert told[-1] == (27, 27)


def test_a_table_points_to_its_audio(tmp_path: Path) -> None:
    rows = ["path,split,label"]
    for number, split in enumerate(PROTOCOL_FILES):
        for label in ("bonafide", "spoof"):
            soundfile.write(tmp_path / f"{split}-{label}.wav", waveform(f"{number}{label}"), SAMPLE_RATE)
            rows.append(f"{split}-{label}.wav,{split},{label}")
    (tmp_path / "corpus.csv").write_text("\n".join(rows))
    table = build_manifest(tmp_path / "corpus.csv")
    assert table["problem"].null_count == table.num_rows == 6
    assert table["path"].to_pylist() == [
        f"{split}-{label}.wav" for split in ("dev", "eval", "train") for label in ("bonafide", "spoof")
    ]


def test_the_shared_corpus_is_read_without_a_problem(shared_data: Path) -> None:
    table = build_manifest(shared_data / "minila" / "LA", limit=30)
    assert table.num_rows == 90
    assert table["problem"].null_count == 90
    assert min(table["duration_s"].to_pylist()) > 0


# The limit


def utterances_of(counts: dict[tuple[str, str | None], int]) -> list[Utterance]:
    return [
        Utterance(split, f"{split}-{attack}-{number}", None, attack, int(attack is None), None, "")
        for (split, attack), count in counts.items()
        for number in range(count)
    ]


def strata(utterances: list[Utterance]) -> Counter[tuple[str, str | None]]:
    return Counter((utterance.split, utterance.attack_id) for utterance in utterances)


def test_a_limit_keeps_every_attack_in_proportion() -> None:
    counts = {("train", None): 100, ("train", "A01"): 500, ("train", "A02"): 400, ("eval", None): 3}
    assert strata(stratified_subset(utterances_of(counts), 103)) == {
        ("train", None): 11,
        ("train", "A01"): 51,
        ("train", "A02"): 41,
        ("eval", None): 3,
    }


@given(
    counts=st.dictionaries(
        st.tuples(st.sampled_from(["train", "dev", "eval"]), st.sampled_from([None, "A01", "A02", "A03"])),
        st.integers(1, 60),
        min_size=1,
    ),
    limit=st.integers(4, 100),
    order=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=40)
def test_a_limit_is_met_exactly_with_each_stratum_in_it_whatever_the_order(
    counts: dict[tuple[str, str | None], int], limit: int, order: random.Random
) -> None:
    utterances = utterances_of(counts)
    kept = stratified_subset(utterances, limit)
    for split in {split for split, _ in counts}:
        total = sum(count for (other, _), count in counts.items() if other == split)
        assert sum(utterance.split == split for utterance in kept) == min(limit, total)
    assert set(strata(kept)) == set(counts)
    assert all(strata(kept)[key] <= count for key, count in counts.items())
    kept_ids = {utterance.utterance_id for utterance in kept}
    assert [utterance for utterance in utterances if utterance.utterance_id in kept_ids] == kept
    shuffled = utterances.copy()
    order.shuffle(shuffled)
    assert {utterance.utterance_id for utterance in stratified_subset(shuffled, limit)} == kept_ids


@given(limit=st.integers(3, 200))
@settings(deadline=None, max_examples=30)
def test_a_larger_limit_keeps_what_a_smaller_one_kept(limit: int) -> None:
    utterances = utterances_of({("train", None): 40, ("train", "A01"): 120, ("train", "A02"): 40})
    smaller = {u.utterance_id for u in stratified_subset(utterances, limit)}
    larger = {u.utterance_id for u in stratified_subset(utterances, 2 * limit)}
    assert smaller <= larger


def test_a_limit_below_the_number_of_attacks_is_refused() -> None:
    utterances = utterances_of({("dev", None): 9, ("dev", "A01"): 9, ("dev", "A02"): 9})
    with pytest.raises(CorpusError, match=r"data\.limit 2 is below the 3 attacks and classes of the dev split"):
        stratified_subset(utterances, 2)


def test_a_limited_manifest_is_part_of_the_whole_one(made: Path) -> None:
    whole = build_manifest(made).to_pylist()
    limited = build_manifest(made, limit=6).to_pylist()
    assert len(limited) == 18
    assert all(row in whole for row in limited)


# Files


def test_a_manifest_is_read_as_it_was_written(made: Path, tmp_path: Path) -> None:
    table = build_manifest(made)
    write_manifest(table, tmp_path / "new" / "manifest.parquet")
    assert read_manifest(tmp_path / "new" / "manifest.parquet").equals(table)


def test_what_is_no_manifest_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="no such manifest; make it with `bonafide manifest`"):
        read_manifest(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(ProtocolError, match=r"cannot be read as Parquet.*make it again"):
        read_manifest(tmp_path / "text.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(ProtocolError, match="its columns are not a manifest's"):
        read_manifest(tmp_path / "other.parquet")
    with pytest.raises(ProtocolError):
        read_manifest(tmp_path)
