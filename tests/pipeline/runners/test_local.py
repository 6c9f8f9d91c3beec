"""A local run whose worker is killed, or that is interrupted, ends soon, says what happened and leaves no worker running."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

# Six items for two workers. Each item is a file with a temporary name while a worker holds it, renamed when it is done.
JOB = """
import os, sys, time
from pathlib import Path
import apache_beam as beam
from pipeline.runners import profiles, run
from pipeline.errors import RunnerError

class Work(beam.DoFn):
    def __init__(self, folder, seconds):
        self.folder, self.seconds = folder, seconds
    def process(self, number):
        partial = Path(self.folder, f".item-{number}.partial")
        partial.write_text(str(os.getpid()))
        time.sleep(self.seconds)
        partial.rename(partial.with_name(f"item-{number}"))
        yield number

folder, seconds = sys.argv[1], float(sys.argv[2])
def build(p):
    p | beam.Create(range(6), reshuffle=False) | beam.Reshuffle() | beam.ParDo(Work(folder, seconds))
def in_flight():
    return sorted(path.name for path in Path(folder).glob(".item-*"))
try:
    run.run(build, profiles.pipeline_options("local", [], 2), in_flight)
except RunnerError as error:
    sys.exit(f"RunnerError: {error}")
"""


class Run:
    """A job in a process of its own."""

    def __init__(self, folder: Path, repository: Path, seconds: float) -> None:
        self.folder = folder
        script = folder / "job.py"
        script.write_text(JOB)
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(folder), str(seconds)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def workers_at_work(self) -> list[int]:
        """Waits until both workers hold an item; gives their process ids."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            held = [path.read_text() for path in self.folder.glob(".item-*")]
            if len(held) == 2 and all(held):
                return [int(pid) for pid in held]
            time.sleep(0.1)
        raise AssertionError("the workers did not begin")

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture
def run(tmp_path: Path, repository: Path) -> Iterator[Run]:
    run = Run(tmp_path, repository, seconds=60)
    yield run
    if run.process.poll() is None:
        os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_within_ten_seconds_and_names_what_was_in_flight(run: Run) -> None:
    victim, other = run.workers_at_work()
    held = sorted(path.name for path in run.folder.glob(".item-*"))
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    status, errors = run.end()
    assert time.monotonic() - began < 10
    assert status == 1
    message = next(line for line in errors.splitlines() if line.startswith("RunnerError: "))
    assert f"worker process {victim} was ended by signal 9 (SIGKILL)" in message
    assert f"in flight: {', '.join(held)}." in message
    assert "use fewer workers (--workers)" in message
    assert "Traceback" not in errors
    assert not psutil.pid_exists(other)


@pytest.mark.slow
def test_ctrl_c_ends_the_run_within_ten_seconds_and_leaves_no_worker(run: Run) -> None:
    workers = run.workers_at_work()
    began = time.monotonic()
    os.kill(run.process.pid, signal.SIGINT)
    status, errors = run.end()
    assert time.monotonic() - began < 10
    assert status == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not any(psutil.pid_exists(worker) for worker in workers)


def test_an_undisturbed_run_ends_well_without_a_word(tmp_path: Path, repository: Path) -> None:
    status, errors = Run(tmp_path, repository, seconds=0).end()
    assert status == 0
    assert not re.search("RunnerError|Traceback", errors)
    assert sorted(path.name for path in tmp_path.glob("item-*")) == [f"item-{number}" for number in range(6)]
