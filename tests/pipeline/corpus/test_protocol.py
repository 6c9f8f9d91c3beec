import csv
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.corpus.fields import unpack_fields
from pipeline.corpus.findings import Finding, contradictions
from pipeline.corpus.layouts.lists import parse_protocol
from pipeline.corpus.manifest import count_utterances, require_both_classes
from pipeline.corpus.protocol import read_corpus
from pipeline.errors import CorpusError, ProtocolError
from tests.support.synthetic_corpus import PROTOCOL_FILES, PROTOCOL_FOLDER, protocol_lines, write_protocols

Changes = dict[str, Any]


def refusal(root: Path) -> str:
    with pytest.raises(ProtocolError) as caught:
        read_corpus(root)
    return str(caught.value)


def place(root: Path, split: str, line: int) -> str:
    return f"{root / PROTOCOL_FOLDER / PROTOCOL_FILES[split]}:{line}"


def without_places(utterances: Iterable[Any]) -> set[tuple[Any, ...]]:
    return {(u.split, u.utterance_id, u.speaker_id, u.attack_id, u.label, u.path) for u in utterances}


def with_line(split: str, *lines: str) -> Changes:
    return {split: [*protocol_lines(split), *lines]}


# What is read


def test_a_line_gives_an_utterance(tmp_path: Path) -> None:
    utterances = {u.utterance_id: u for u in read_corpus(write_protocols(tmp_path))}
    bona_fide, spoof = utterances["LA_T_0000000"], utterances["LA_E_0000001"]
    assert (bona_fide.split, bona_fide.label, bona_fide.attack_id, bona_fide.speaker_id) == (
        "train",
        1,
        None,
        "LA_0000",
    )
    assert (spoof.split, spoof.label, spoof.attack_id, spoof.speaker_id) == ("eval", 0, "A07", "LA_2001")
    assert bona_fide.where == place(tmp_path, "train", 1)
    assert bona_fide.path is None


@pytest.mark.parametrize(
    "dress",
    [
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda text: text.replace(" ", "\t"), id="tabs"),
        pytest.param(lambda text: text.replace(" ", "  \t "), id="several blanks"),
        pytest.param(lambda text: text.replace("\n", " \t\n"), id="trailing blanks"),
        pytest.param(lambda text: "\ufeff" + text, id="byte order mark"),
        pytest.param(lambda text: "\n\n" + text.replace("\n", "\n\n"), id="empty lines"),
        pytest.param(lambda text: text.rstrip("\n"), id="no newline at the end"),
    ],
)
def test_the_way_a_protocol_is_written_does_not_matter(tmp_path: Path, dress: Any) -> None:
    plain = read_corpus(write_protocols(tmp_path / "plain"))
    text = {split: dress("".join(f"{line}\n" for line in protocol_lines(split))) for split in PROTOCOL_FILES}
    assert without_places(read_corpus(write_protocols(tmp_path / "dressed", text))) == without_places(plain)


def test_line_numbers_count_empty_lines_and_crlf_as_an_editor_does(tmp_path: Path) -> None:
    text = "\ufeff\r\n\r\n" + "\r\n".join([*protocol_lines("train"), "LA_0000 LA_T_X - - fake"])
    assert f"{place(tmp_path, 'train', 12)}: unknown label 'fake'" in refusal(
        write_protocols(tmp_path, {"train": text})
    )


@given(order=st.randoms(use_true_random=False), data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_lines_does_not_matter(tmp_path: Path, order: random.Random, data: st.DataObject) -> None:
    n_utterances = data.draw(st.integers(3, 40))
    lines = {split: protocol_lines(split, n_utterances) for split in PROTOCOL_FILES}
    straight = read_corpus(write_protocols(tmp_path, lines))
    for split_lines in lines.values():
        order.shuffle(split_lines)
    assert without_places(read_corpus(write_protocols(tmp_path, lines))) == without_places(straight)


@pytest.mark.parametrize("lines", [["LA_E_1", "LA_E_2"], ["- LA_E_1 - - -", "LA_9 LA_E_2 - A07 -"]])
def test_eval_may_be_unlabelled(tmp_path: Path, lines: list[str]) -> None:
    utterances = read_corpus(write_protocols(tmp_path, {"eval": lines}))
    trials = [u for u in utterances if u.split == "eval"]
    assert [u.utterance_id for u in trials] == ["LA_E_1", "LA_E_2"]
    assert all(u.label is None for u in trials)


@pytest.mark.parametrize("split", ["train", "dev"])
@pytest.mark.parametrize("lines", [["LA_X_1"], ["LA_9 LA_X_1 - - -"]])
def test_train_and_dev_must_be_labelled(tmp_path: Path, split: str, lines: list[str]) -> None:
    message = refusal(write_protocols(tmp_path, {split: lines}))
    assert f"{place(tmp_path, split, 1)}: LA_X_1 has no label; only the eval split may be unlabelled" in message


def test_a_speaker_that_is_not_told_is_in_no_two_splits(tmp_path: Path) -> None:
    lines = {split: [re.sub(r"^\S+", "-", line) for line in protocol_lines(split)] for split in PROTOCOL_FILES}
    assert {u.speaker_id for u in read_corpus(write_protocols(tmp_path, lines))} == {None}


def test_the_official_protocols_are_read_in_full(shared_data: Path) -> None:
    utterances = read_corpus(shared_data / "asvspoof2019_la")
    require_both_classes(utterances)
    counts = count_utterances(utterances)
    assert {split: counts[split].total() for split in counts} == {"train": 25_380, "dev": 24_844, "eval": 71_237}
    assert {split: counts[split]["bona fide"] for split in counts} == {"train": 2_580, "dev": 2_548, "eval": 7_355}
    attacks = {split: {u.attack_id for u in utterances if u.split == split} - {None} for split in counts}
    assert attacks["train"] == attacks["dev"] == {f"A{number:02d}" for number in range(1, 7)}
    assert attacks["eval"] == {f"A{number:02d}" for number in range(7, 20)}


# What is refused


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("LA_0000 LA_T_X - bonafide", "expected 5 fields `speaker utterance - attack label`, found 4"),
        ("LA_0000 LA_T_X - A01 spoof extra", "expected 5 fields `speaker utterance - attack label`, found 6"),
        ("LA_T_X", "expected 5 fields `speaker utterance - attack label`, found 1: 'LA_T_X'"),
        ("LA_0000 LA_T_X - A01 fake", "unknown label 'fake' of LA_T_X; write bonafide or spoof"),
        ("LA_0000 LA_T_X - A01 Spoof", "unknown label 'Spoof' of LA_T_X; write bonafide or spoof"),
        (
            "LA_0000 LA_T_X - A01 bonafide",
            "LA_T_X is bonafide but has the attack A01; write - for the attack, or spoof",
        ),
        ("LA_0000 LA_T_X - - spoof", "LA_T_X is spoof but has no attack; write the id of the spoofing system"),
        ("LA_0000 LA_T_X - CS-lpc spoof", "LA_T_X has the attack CS-lpc; ids that begin with CS- are kept for twins"),
        ("LA_0000 LA_T_0000000 - - bonafide", "utterance LA_T_0000000 is listed twice (first at {first}); remove one"),
    ],
)
def test_a_wrong_line_is_told_with_its_place_and_the_fix(tmp_path: Path, line: str, told: str) -> None:
    message = refusal(write_protocols(tmp_path, with_line("train", line)))
    assert message.startswith("the protocols have 1 error\n")
    assert f"  {place(tmp_path, 'train', 10)}: {told.format(first=place(tmp_path, 'train', 1))}" in message


def test_an_id_in_two_splits_is_told_with_both_places(tmp_path: Path) -> None:
    message = refusal(write_protocols(tmp_path, with_line("eval", "LA_2000 LA_D_0000003 - - bonafide")))
    assert (
        f"{place(tmp_path, 'eval', 10)}: utterance LA_D_0000003 is in dev too (first at {place(tmp_path, 'dev', 4)})"
        in message
    )


def test_a_speaker_in_two_splits_is_told_once_per_split(tmp_path: Path) -> None:
    lines = [f"LA_0001 LA_D_X{number} - - bonafide" for number in range(5)]
    message = refusal(write_protocols(tmp_path, with_line("dev", *lines)))
    assert message.startswith("the protocols have 1 error\n")
    assert (
        f"{place(tmp_path, 'dev', 10)}: speaker LA_0001 of dev is in train too (first at {place(tmp_path, 'train', 2)}); "
        "a speaker belongs to one split" in message
    )


def test_every_kind_of_error_is_listed_in_one_go(tmp_path: Path) -> None:
    changes = {
        "train": [*protocol_lines("train"), "too few", "LA_0000 LA_T_X - A01 real"],
        "dev": [*protocol_lines("dev"), "LA_1000 LA_D_X - - spoof", "LA_0000 LA_D_Y - - bonafide"],
        "eval": [*protocol_lines("eval"), "LA_2000 LA_T_0000000 - - bonafide", "LA_2000 LA_E_X - A07 bonafide"],
    }
    message = refusal(write_protocols(tmp_path, changes))
    assert message.startswith("the protocols have 6 errors\n")
    for split in PROTOCOL_FILES:
        assert place(tmp_path, split, 10) in message
        assert place(tmp_path, split, 11) in message


def test_only_the_first_twenty_errors_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    message = refusal(write_protocols(tmp_path, with_line("train", *("wrong" for _ in range(33)))))
    assert message.startswith("the protocols have 33 errors\n")
    assert message.count("expected 5 fields") == 20
    assert message.endswith("… and 13 more")
    exact = refusal(write_protocols(tmp_path, with_line("train", *("wrong" for _ in range(20)))))
    assert "more" not in exact


@pytest.mark.parametrize("split", PROTOCOL_FILES)
@pytest.mark.parametrize("content", ["", "\n \t\r\n", "\ufeff"])
def test_an_empty_protocol_is_told(tmp_path: Path, split: str, content: str) -> None:
    message = refusal(write_protocols(tmp_path, {split: content}))
    assert message.startswith(f"{tmp_path / PROTOCOL_FOLDER / PROTOCOL_FILES[split]}: the protocol is empty")


def test_a_protocol_that_is_not_text_is_told(tmp_path: Path) -> None:
    assert "cannot be read as UTF-8 text" in refusal(write_protocols(tmp_path, {"dev": b"\xff\xfe\x00\x01"}))


def test_a_missing_protocol_or_corpus_says_what_data_root_must_be(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere: no such corpus; set data\.root"):
        read_corpus(tmp_path / "nowhere")
    root = write_protocols(tmp_path)
    (root / PROTOCOL_FOLDER / PROTOCOL_FILES["dev"]).unlink()
    with pytest.raises(CorpusError, match=r"dev\.trl\.txt: no such protocol file; data\.root must be"):
        read_corpus(root)


def test_a_wrong_line_is_told_before_a_protocol_that_is_missing(tmp_path: Path) -> None:
    write_protocols(tmp_path, {"train": b"LA_0001 LA_T_1 - - bonafide\nLA_0002 LA_\x00T - A01 spoof\n"})
    (tmp_path / PROTOCOL_FOLDER / PROTOCOL_FILES["dev"]).unlink()
    assert "trn.txt:2: the control character" in refusal(tmp_path)


@pytest.mark.parametrize(("split", "label", "name"), [("train", "bonafide", "spoof"), ("dev", "spoof", "bona fide")])
def test_a_split_of_one_class_is_refused(tmp_path: Path, split: str, label: str, name: str) -> None:
    lines = [line for line in protocol_lines(split) if line.endswith(label)]
    utterances = read_corpus(write_protocols(tmp_path, {split: lines}))
    with pytest.raises(CorpusError, match=f"the {split} split has no {name} utterance"):
        require_both_classes(utterances)


def test_an_eval_split_of_one_class_is_fine(tmp_path: Path) -> None:
    lines = [line for line in protocol_lines("eval") if line.endswith("spoof")]
    require_both_classes(read_corpus(write_protocols(tmp_path, {"eval": lines})))


@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from(["S1", "S2", "-"]),
            st.sampled_from(["U1", "U2", "U3", "U4"]),
            st.sampled_from(["-", "A01"]),
            st.sampled_from(["bonafide", "spoof", "-", "real"]),
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_line_becomes_an_utterance_or_a_finding(tmp_path: Path, lines: list[tuple[str, ...]]) -> None:
    path = tmp_path / "protocol.txt"
    path.write_text("".join(f"{speaker} {name} - {attack} {label}\n" for speaker, name, attack, label in lines))
    findings: list[Finding] = []
    utterances = parse_protocol(path, "train", findings)
    numbers = [int(item.where.rpartition(":")[2]) for item in (*utterances, *findings)]
    assert sorted(numbers) == list(range(1, len(lines) + 1))
    names = [u.utterance_id for u in utterances]
    assert len(contradictions(utterances)) == len(names) - len(set(names))


# Tables

COLUMNS = ("path", "split", "label", "utterance_id", "speaker_id", "attack_id")
ROWS = [
    ("a/one.wav", "train", "bonafide", "one", "S1", "-"),
    ("a/two.flac", "train", "spoof", "two", "S1", "A01"),
    ("b/three.wav", "dev", "1", "three", "S2", ""),
    ("b/four.wav", "dev", "0", "four", "S2", "A01"),
    ("c/five.wav", "eval", "", "five", "S3", ""),
]


def write_table(path: Path, rows: Iterable[tuple[Any, ...]] = ROWS, columns: tuple[str, ...] = COLUMNS) -> Path:
    if path.suffix == ".parquet":
        values = [[None if row[i] == "" else row[i] for row in rows] for i in range(len(columns))]
        pq.write_table(pa.table(dict(zip(columns, values, strict=True))), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])
    return path


@pytest.mark.parametrize("name", ["corpus.csv", "corpus.parquet"])
def test_a_table_gives_the_same_utterances_as_csv_and_parquet(tmp_path: Path, name: str) -> None:
    assert without_places(read_corpus(write_table(tmp_path / name))) == {
        ("train", "one", "S1", None, 1, "a/one.wav"),
        ("train", "two", "S1", "A01", 0, "a/two.flac"),
        ("dev", "three", "S2", None, 1, "b/three.wav"),
        ("dev", "four", "S2", "A01", 0, "b/four.wav"),
        ("eval", "five", "S3", None, None, "c/five.wav"),
    }


def test_a_table_needs_path_split_and_label_alone(tmp_path: Path) -> None:
    rows = [row[:3] for row in ROWS]
    path = write_table(tmp_path / "t.csv", rows, COLUMNS[:3])
    utterances = {u.utterance_id: u for u in read_corpus(path, bonafide_number=1)}
    assert sorted(utterances) == ["a/one", "a/two", "b/four", "b/three", "c/five"]
    assert utterances["a/two"].attack_id == "unknown"
    assert utterances["a/two"].speaker_id is None


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_parquet_labels_may_be_numbers(tmp_path: Path, kind: pa.DataType) -> None:
    labels = pa.array([1, 0, 1, 0, None]).cast(kind)
    columns = {"path": [row[0] for row in ROWS], "split": [row[1] for row in ROWS], "label": labels}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    for number, labels in ((1, [1, 0, 1, 0, None]), (0, [0, 1, 0, 1, None])):
        assert [u.label for u in read_corpus(tmp_path / "t.parquet", bonafide_number=number)] == labels
    assert "nothing tells which of them is bona fide" in refusal(tmp_path / "t.parquet")


@pytest.mark.parametrize("number", ["0", "1"])
def test_attacks_tell_what_numbers_mean(tmp_path: Path, number: str) -> None:
    spoof, bona_fide = number, str(1 - int(number))
    rows = [("a.wav", "eval", bona_fide, "a", "", ""), ("b.wav", "eval", spoof, "b", "", "A01")]
    assert [u.label for u in read_corpus(write_table(tmp_path / "t.csv", rows))] == [1, 0]
    rows.append(("c.wav", "eval", bona_fide, "c", "", "A01"))
    assert "set data.bonafide_number to 1 or 0" in refusal(write_table(tmp_path / "t.csv", rows))


@pytest.mark.parametrize(
    "words", [("bona-fide", "Spoof"), ("bona_fide", "spoofed"), ("Real", "fake"), ("genuine", "FAKE")]
)
def test_words_for_the_classes_may_be_those_of_other_corpora(tmp_path: Path, words: tuple[str, str]) -> None:
    rows = [(f"{word}.wav", "eval", word, word, "", "") for word in words]
    assert [u.label for u in read_corpus(write_table(tmp_path / "t.csv", rows))] == [1, 0]


def test_a_csv_from_a_spreadsheet_is_fine(tmp_path: Path) -> None:
    text = "\ufeff" + "".join(",".join(f'"{value} "' for value in row) + "\r\n" for row in (COLUMNS, *ROWS))
    (tmp_path / "t.csv").write_bytes(text.encode())
    plain = read_corpus(write_table(tmp_path / "plain.csv"))
    assert without_places(read_corpus(tmp_path / "t.csv")) == without_places(plain)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("x.wav", "test", "bonafide", "x", "S9", ""), "unknown split 'test'; write train, dev or eval"),
        (("x.wav", "dev", "maybe", "x", "S9", ""), "unknown label 'maybe'; write bonafide or spoof"),
        (("/etc/x.wav", "dev", "bonafide", "x", "S9", ""), "path '/etc/x.wav' must be relative"),
        (("../x.wav", "dev", "bonafide", "x", "S9", ""), "path '../x.wav' must be relative"),
        (("", "dev", "bonafide", "x", "S9", ""), "path '' must be relative"),
        (("x.wav", "dev", "bonafide", "x", "S9", "A01"), "x is bonafide but has the attack A01"),
        (("x.wav", "dev", "", "x", "S9", ""), "x has no label"),
        (("x.wav", "dev", "bonafide", "one", "S9", ""), "utterance one is in train too"),
        (("x.wav", "dev", "bonafide", "x", "S1", ""), "speaker S1 of dev is in train too"),
        (("x.wav", "dev", "bonafide", "two words", "S9", ""), "id 'two words' has white space"),
        (("x.wav", "dev", "spoof", "x", "S9", "two words"), "id 'two words' has white space"),
    ],
)
def test_a_wrong_row_is_told_with_its_place_and_the_fix(tmp_path: Path, row: tuple[str, ...], told: str) -> None:
    path = write_table(tmp_path / "t.csv", [*ROWS, row])
    message = refusal(path)
    assert f"  {path}:7: {told}" in message
    assert f"  {path.with_suffix('.parquet')}:row 6: {told}" in refusal(
        write_table(path.with_suffix(".parquet"), [*ROWS, row])
    )


@pytest.mark.parametrize("column", ["path", "split", "label"])
def test_a_table_without_a_needed_column_is_told(tmp_path: Path, column: str) -> None:
    kept = [i for i, name in enumerate(COLUMNS) if name != column]
    path = write_table(tmp_path / "t.csv", [[row[i] for i in kept] for row in ROWS], tuple(COLUMNS[i] for i in kept))
    message = refusal(path)
    assert message.startswith(f"{path}: column {column!r} is missing; needed are path, split and label, found ")
    assert "utterance_id" in message


def test_a_row_with_too_many_fields_is_told(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", [*ROWS, ("x.wav", "dev", "bonafide", "x", "S9", "", "extra")])
    assert f"  {path}:7: more fields than columns" in refusal(path)


@pytest.mark.parametrize(("name", "content"), [("t.csv", b"\xff\xfe\x00"), ("t.parquet", b"PAR1"), ("t.csv", b"")])
def test_a_table_that_cannot_be_read_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert str(tmp_path / name) in refusal(tmp_path / name)


@pytest.mark.parametrize("split", ["train", "dev", "eval"])
def test_a_table_may_have_rows_of_some_splits_only(tmp_path: Path, split: str) -> None:
    path = write_table(tmp_path / "t.csv", [row for row in ROWS if row[1] != split])
    utterances = read_corpus(path)
    assert {u.split for u in utterances} == {"train", "dev", "eval"} - {split}
    require_both_classes(utterances)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_table_without_rows_is_told(tmp_path: Path, name: str) -> None:
    assert "there is no utterance" in refusal(write_table(tmp_path / name, []))


def test_a_table_of_other_columns_is_told_which_of_them_look_like_those_needed(tmp_path: Path) -> None:
    rows = [(row[0], row[1], "real" if row[2] in ("1", "bonafide") else "fake") for row in ROWS]
    message = refusal(write_table(tmp_path / "t.csv", rows, ("file_name", "split", "key")))
    assert "column 'path' is missing" in message
    assert "column 'file_name' looks like it: rename it to path" in message
    assert "column 'key' looks like it: rename it to label" in message


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_table_with_another_separator_is_told(tmp_path: Path, separator: str) -> None:
    path = write_table(tmp_path / "t.csv")
    path.write_text(path.read_text().replace(",", separator))
    assert "its columns are separated by" in refusal(path)


def test_a_table_without_a_line_of_names_is_told(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", [row[:3] for row in ROWS[1:]], ROWS[0][:3])
    assert "the first line holds values (a/one.wav, train, bonafide)" in refusal(path)


def test_other_columns_of_a_table_are_kept_as_fields(tmp_path: Path) -> None:
    rows = [("a.wav", "eval", "bonafide", "opus", "", "3"), ("b.wav", "eval", "spoof", "", "x\u00e9", "4")]
    columns = ("path", "split", "label", "codec", "room", "duration_s")
    for name in ("t.csv", "t.parquet"):
        fields = [unpack_fields(u.fields) for u in read_corpus(write_table(tmp_path / name, rows, columns))]
        assert fields == [
            {"codec": "opus", "room": "-", "protocol_duration_s": "3"},
            {"codec": "-", "room": "x\u00e9", "protocol_duration_s": "4"},
        ]
