"""A worker process ends with the process that started it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

# The parent starts a worker, says its process id, and waits to be killed. Without the watchdog both would live on.
PARENT = """
import os, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
print(worker.pid, flush=True)
time.sleep(60)
"""
WORKER = """
import ctypes, sys, time
from pipeline.runners import parent_watchdog
{change}
parent_watchdog.end_with(int(sys.argv[1]))
time.sleep(60)
"""
WITHOUT_PRCTL = "parent_watchdog._PR_SET_PDEATHSIG = -1"
STARTS_SLOWLY = "time.sleep(1)"


@pytest.mark.parametrize("change", ["", WITHOUT_PRCTL, STARTS_SLOWLY])
def test_a_worker_ends_with_its_parent(change: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, WORKER.replace("{change}", change)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.5)
    assert runs(worker)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 2
    while runs(worker) and time.monotonic() < end:
        time.sleep(0.02)
    assert not runs(worker)


def runs(process: psutil.Process) -> bool:
    """Whether a process that nobody may have waited for runs."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
