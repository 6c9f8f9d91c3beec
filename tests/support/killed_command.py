"""The console command in a process of its own that a signal ends at some moment, and what is left of it then."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.imports import REPOSITORY

_MARK = "BONAFIDE_TEST_RUN"
# Two seconds on a quiet machine. Native code that keeps the interpreter, such as the loading of TensorFlow, takes seconds on a
# busy one.
_UNWIND_S = 10.0


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Exit code; negative after a signal.
        printed: All that it printed.
        seconds: Wall time.
        left: Command lines of its processes that still ran two seconds after SIGKILL, or `_UNWIND_S` after another signal.
    """

    code: int
    printed: str
    seconds: float
    left: list[str] = field(default_factory=list)


class ConsoleCommand:
    """A command with its arguments, to be run in a folder."""

    def __init__(self, folder: Path, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", "bonafide", *map(str, arguments)]
        self._folder = folder
        self._environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **(environment or {})}

    def run(self) -> Ended:
        """Runs it to its end."""
        began = time.monotonic()
        done = subprocess.run(
            self._command, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False
        )
        return Ended(done.returncode, done.stdout + done.stderr, time.monotonic() - began)

    def signalled(self, after_s: float, number: signal.Signals) -> Ended:
        """Sends a signal to the command alone, some time after its start."""
        mark = uuid.uuid4().hex
        log = self._folder / f".{mark}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env={**self._environment, _MARK: mark},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        began = time.monotonic()
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        end = time.monotonic() + (2.0 if number is signal.SIGKILL else _UNWIND_S)
        while (left := _running(mark)) and time.monotonic() < end:
            process.poll()
            time.sleep(0.02)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        code = process.wait()
        printed = log.read_text(errors="replace")
        log.unlink()
        return Ended(code, printed, time.monotonic() - began, list(left.values()))


def _running(mark: str) -> dict[int, str]:
    """Process ids and command lines of the processes that run with a mark in their environment; zombies do not run."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = " ".join(process.cmdline())
        except psutil.Error:
            continue
    return found
