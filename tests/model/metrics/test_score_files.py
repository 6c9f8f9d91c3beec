from pathlib import Path

import pytest

from model.metrics import MetricsError, format_scores, parse_scores, read_scores


def test_unlabelled_scores_are_written_with_a_dash_and_read_as_scores_only() -> None:
    file = parse_scores(format_scores(["u1", "u2"], [0.5, 1.5], ["-", "-"], [None, None]), "eval.txt")
    assert file.labels is None
    assert file.scores.tolist() == [0.5, 1.5]


def test_missing_and_binary_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MetricsError, match=r"gone\.txt: cannot be read: No such file"):
        read_scores(tmp_path / "gone.txt")
    (tmp_path / "binary.txt").write_bytes(b"fLaC\xff\xfe\x00")
    with pytest.raises(MetricsError, match="not a text file"):
        read_scores(tmp_path / "binary.txt")


LINES = "u1 A01 spoof -1.5\nu2 - bonafide 2.25\nu3 A02 spoof 0.5\n"
CSV = """path,score,probability,verdict,problem,attack_id,label
clips/u1.flac,-1.5,0.18,spoof,,A01,spoof
clips/u2.flac,2.25,0.9,bona fide,,-,bonafide
u3.wav,0.5,0.62,uncertain,,A02,spoof
"""
JSON_LINES = """{"path": "clips/u1.flac", "score": -1.5, "problem": null, "attack_id": "A01", "label": "spoof"}
{"path": "clips/u2.flac", "score": 2.25, "problem": null, "attack_id": null, "label": "bona fide"}

{"utterance_id": "u3", "path": "elsewhere.wav", "score": 0.5, "attack_id": "A02", "label": "spoof"}
"""


@pytest.mark.parametrize("text", [CSV, JSON_LINES, "\r\n".join(CSV.splitlines())])
def test_csv_and_json_lines_hold_what_lines_of_asvspoof_hold(text: str) -> None:
    file, expected = parse_scores(text, "scores"), parse_scores(LINES, "scores")
    assert expected.labels is not None
    assert file.labels is not None
    assert file.attack_ids is not None
    assert expected.attack_ids is not None
    for name in ("utterance_ids", "scores", "labels", "attack_ids"):
        assert getattr(file, name).tolist() == getattr(expected, name).tolist(), name


def test_scores_of_files_alone_have_no_labels() -> None:
    file = parse_scores('file,score\n"with, comma.wav",1.0\n\'-dash.wav,2.0\n', "scores.csv")
    assert file.labels is None
    assert file.utterance_ids.tolist() == ["with, comma", "-dash"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"path": "a.wav", "score": null, "problem": "empty"}\n', r"line 1 \(a\): empty"),
        ("path,score,problem\na.wav,1.0,\nb.wav,,silent\n", r"1 utterance without a score: line 3 \(b\): silent"),
        ('{"path": "a.wav", "score": 1.0}\n{"path"\n', "line 2 is no JSON object"),
        ("score,name\n1.0,a\n", "line 2 names no utterance: it needs a field utterance_id, path, file"),
        ("path,score\na/u1.wav,1.0\nb/u1.flac,2.0\n", "duplicate utterance id"),
        ("path,score\na.wav,high\n", r"line 2 \(a\): 'high'"),
    ],
)
def test_records_that_are_no_scores_are_refused_by_line(text: str, message: str) -> None:
    with pytest.raises(MetricsError, match=message):
        parse_scores(text, "scores")
