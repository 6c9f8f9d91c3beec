import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def test_run_as_a_module_it_calls_itself_bonafide(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bonafide", "score", "--help"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "Usage: bonafide score" in done.stdout
    assert "-m bonafide" not in done.stdout


@pytest.mark.parametrize(
    ("command", "first", "second"),
    [
        ("features", "bonafide features", "bonafide features --workers 1"),
        ("score", "bonafide score call.wav", "bonafide score --json recordings/ 'more/*.flac'"),
        ("compare", "bonafide compare a.txt b.txt --protocol cm.trl.txt", "bonafide compare HEAD~1 HEAD"),
    ],
)
def test_each_example_has_a_line_of_its_own(
    command: str, first: str, second: str, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    lines = [line.strip() for line in run_bonafide(command, "--help")[1].splitlines()]

    at = lines.index("Examples:")
    assert lines[at + 1 : at + 3] == [first, second]
