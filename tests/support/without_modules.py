"""Runs Python in a process that refuses to import some packages, as an environment without them would."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_REFUSE = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"refused: {{name}}")
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_without(refused: Sequence[str], script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in a new interpreter whose first finder of modules refuses the packages `refused`."""
    command = [sys.executable, "-c", _REFUSE.format(refused=tuple(refused)), str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
