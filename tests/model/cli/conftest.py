"""Files for the commands that read scores."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.score_files import make_scores


@pytest.fixture
def run(run_bonafide: Callable[..., tuple[int, str]]) -> Callable[..., str]:
    """Runs the console command, which has to succeed, and gives its output."""

    def output(*arguments: object) -> str:
        code, text = run_bonafide(*arguments)
        assert code == 0, text
        return text

    return output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two systems (a, b), the first in two columns, with its protocol and with ASV scores."""
    (tmp_path / "a.txt").write_text(make_scores(1))
    (tmp_path / "b.txt").write_text(make_scores(2, distance=3.0))
    rows = [line.split() for line in make_scores(1).splitlines()]
    (tmp_path / "two.txt").write_text("".join(f"{row[0]} {row[3]}\n" for row in rows))
    protocol = [f"s{i % 5} {row[0]} - {row[1]} {row[2]}\n" for i, row in enumerate(rows)]
    (tmp_path / "protocol.txt").write_text("".join(protocol))
    spoof = [f"{row[1]} spoof {i % 7}\n" for i, row in enumerate(rows) if row[2] == "spoof"]
    genuine = [f"bonafide target {5 + i % 3}\nbonafide nontarget {i % 6 - 4}\n" for i in range(50)]
    (tmp_path / "asv.txt").write_text("".join(genuine + spoof))
    return tmp_path
