from pathlib import Path

import numpy as np
import pytest

from model.metrics import (
    MetricsError,
    ScoreTable,
    format_scores,
    read_protocol,
    read_score_table,
    score_table,
)

PROTOCOL = """\
spk1 u1 - - bonafide
spk1 u2 - - bonafide
spk2 u3 - A01 spoof
spk2 u4 - A02 spoof
"""
SCORES = "u1 2.5\nu2 1.5\nu3 -1\nu4 -2e0\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    scores, protocol = tmp_path / "scores.txt", tmp_path / "protocol.txt"
    scores.write_text(SCORES)
    protocol.write_text(PROTOCOL)
    return scores, protocol


def contents(table: ScoreTable) -> set[tuple[str, float, int, str, str]]:
    columns = (table.utterance_ids, table.scores, table.labels, table.attack_ids, table.speaker_ids)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def test_scores_meet_labels_by_id_whatever_the_order(files: tuple[Path, Path]) -> None:
    scores, protocol = files
    expected = contents(read_score_table(scores, protocol))
    assert ("u3", -1.0, 0, "A01", "spk2") in expected
    scores.write_text("".join(reversed(SCORES.splitlines(keepends=True))))
    assert contents(read_score_table(scores, protocol)) == expected
    protocol.write_text("".join(reversed(PROTOCOL.splitlines(keepends=True))))
    assert contents(read_score_table(scores, protocol)) == expected


def test_byte_order_mark_windows_line_ends_tabs_and_blank_lines_are_fine(files: tuple[Path, Path]) -> None:
    scores, protocol = files
    expected = contents(read_score_table(scores, protocol))
    scores.write_bytes(b"\xef\xbb\xbf" + SCORES.replace(" ", "\t").replace("\n", "  \r\n").encode() + b"\r\n\r\n")
    protocol.write_bytes(b"\xef\xbb\xbf" + PROTOCOL.replace(" ", "\t").replace("\n", "\r\n").encode())
    assert contents(read_score_table(scores, protocol)) == expected


def test_four_columns_need_no_protocol(tmp_path: Path) -> None:
    text = format_scores(["u1", "u2", "u3"], np.float32([0.1, 2, -3]), ["-", "-", "A01"], [1, 1, 0])
    assert text.splitlines()[2] == "u3 A01 spoof -3.0"
    (tmp_path / "scores.txt").write_text(text)
    table = read_score_table(tmp_path / "scores.txt")
    assert table.scores.tolist() == [float(np.float32(0.1)), 2.0, -3.0]
    assert table.spoof.tolist() == [-3.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "u1 1\nu2 nan\nu3 inf\nu4 2\n",
            r"scores\.txt: 2 scores not a finite number: line 2 \(u2\): 'nan', line 3 \(u3\)",
        ),
        ("utt score\nu1 1\nu2 2\nu3 3\nu4 4\n", r"line 1 \(utt\): 'score'.*leave out a header line"),
        ("u1 1\nu2 2\nu1 3\nu3 3\nu4 4\n", r"1 duplicate utterance id: u1 \(lines 1 and 3\).*were two runs"),
        ("u1 1\nu2 2\nu4 4\n", r"no score for 1 of the 4 utterances of .*: u3\."),
        ("u1 1\nu2 2\nu3 3\nu4 4\nu5 5\n", r"1 scored utterances are not in .*protocol\.txt: u5.*another split"),
        ("x1 1\nx2 2\nx3 3\n", r"another corpus or split than .*not one of its 3 utterance ids \(x1, x2 and 1 more\)"),
        ("u1 1\nu2 1\nu3 0\nu4 0\n", "only 2 distinct scores: these look like hard decisions"),
        (
            "u1 - bonafide 1\nu2 - spoof 2\nu3 A1 spoof 3\nu4 A1 spoof 4\n",
            r"label of 1 utterances contradicts .*: u2 \(spoof",
        ),
        ("u1 - bona-fide 1\n", "label must be bonafide or spoof .*line 1: 'bona-fide'"),
        ("u1 1\nu2 2 3\n", "expected 2 fields, .*line 2 has 3"),
        ("\n\n", "empty; expected lines of `utterance_id score`"),
    ],
)
def test_bad_score_files_are_refused_by_line_and_id(files: tuple[Path, Path], text: str, message: str) -> None:
    scores, protocol = files
    scores.write_text(text)
    with pytest.raises(MetricsError, match=message):
        read_score_table(scores, protocol)


@pytest.mark.parametrize("text", ["spk u1 - - -\nspk u2 - - -\n", "spk u1\nspk u2\n", "u1\nu2\n"])
def test_unlabelled_protocols_give_scores_only(files: tuple[Path, Path], text: str) -> None:
    scores, protocol = files
    protocol.write_text(text)
    assert read_protocol(protocol).labels is None
    assert read_protocol(protocol).utterance_ids.tolist() == ["u1", "u2"]
    with pytest.raises(MetricsError, match="has no labels: scores can be made for it, but no error rate"):
        read_score_table(scores, protocol)


def test_a_score_file_without_labels_asks_for_the_protocol(files: tuple[Path, Path]) -> None:
    with pytest.raises(MetricsError, match=r"scores but no labels: give the protocol of its corpus \(--protocol\)"):
        read_score_table(files[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [1.0, float("nan"), 0.0]}, r"dev: 1 of 3 scores are not finite: b \(nan\)"),
        ({"utterance_ids": ["a", "b", "a"]}, "dev: 1 duplicate utterance ids: a"),
        ({"labels": [1, 1, 1]}, "no spoof utterance among 3, all are bonafide"),
        ({"labels": [0, 0, 0]}, "no bonafide utterance among 3, all are spoof"),
        ({"labels": [1, 2, 0]}, r"must be 1 \(bona fide\) or 0 \(spoof\): b \(2\)"),
        ({"scores": [1.0, 0.0]}, "columns differ in shape"),
    ],
)
def test_bad_columns_are_refused_by_id(changes: dict[str, list[float]], message: str) -> None:
    columns = {"utterance_ids": ["a", "b", "c"], "scores": [2.0, 1.0, 0.0], "labels": [1, 0, 0]} | changes
    with pytest.raises(MetricsError, match=message):
        score_table(**columns, source="dev")  # type: ignore[arg-type]
