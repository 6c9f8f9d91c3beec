"""Python code in a process of its own, for what is set once per process: loaded modules, TensorFlow's devices."""

import json
import os
import subprocess
import sys
from typing import Any


def run_script(script: str, *arguments: str) -> Any:
    """What a Python script prints as its last line, in JSON; it sees the modules of this process."""
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])
