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
