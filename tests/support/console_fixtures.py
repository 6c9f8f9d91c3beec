"""Fixtures that run the console command."""

import sys
from collections.abc import Callable

import pytest


@pytest.fixture
def run_bonafide(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs the console command in this process; gives its exit code and all that it printed."""
    import bonafide

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["bonafide", *map(str, arguments)])
        monkeypatch.delenv("BONAFIDE_DEBUG", raising=False)
        try:
            bonafide.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run
