"""The peak memory of a command, its workers included."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Prints the highest resident memory of the command and of each of its workers, in KiB.
_MEASURED = """
import pathlib, re, sys, threading, time
import psutil
import bonafide

workers = 0

def watch():
    global workers
    while True:
        for child in psutil.Process().children(recursive=True):
            try:
                workers = max(workers, child.memory_info().rss >> 10)
            except psutil.Error:
                pass
        time.sleep(0.01)

threading.Thread(target=watch, daemon=True).start()
try:
    bonafide.main()
except SystemExit as end:
    sys.stderr.write(f"exit {end.code}\\n")
status = pathlib.Path("/proc/self/status").read_text()
print()
print(max(workers, int(re.search(r"VmHWM:\\s+(\\d+)", status)[1])))
"""


def run_measured(arguments: Sequence[str], folder: Path, expected_codes: Sequence[int] = (0,)) -> tuple[int, str]:
    """Runs a console command in a folder; gives the highest resident memory of its processes, in KiB, and its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    codes = [int(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("exit ")]
    assert codes[-1] in expected_codes, done.stderr
    return int(done.stdout.split()[-1]), done.stderr
