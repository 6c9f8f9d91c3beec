"""Signals end a command within seconds, wherever its main thread is."""

import os
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import sys, time
from pipeline.interrupts import end_on_signals, patience
def work():
    print("at work", flush=True)
    {work}
with end_on_signals(lambda: "last words") as interruption:
    try:
        work()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\\n")
        sys.exit(interruption.exit_code)
"""
WAITS = "time.sleep(60)"
SWALLOWS = """
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
# One long call of native code, which lets other threads run.
NATIVE = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
THREAD_STAYS = "import threading; threading.Thread(target=time.sleep, args=(60,)).start(); time.sleep(60)"


def signalled(work: str, *numbers: signal.Signals, ignoring: bool = False) -> tuple[int, str, float]:
    """Exit code, standard error and the seconds until the end after the first signal."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.replace("{work}", work)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignoring else None,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.1)
    began = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.3)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors, time.monotonic() - began


# What Cython does where an interrupt hits the loading of a module.
UNRAISABLE = """
    class Swallows:
        def __del__(self):
            time.sleep(60)
    swallows = Swallows()
    del swallows
    time.sleep(60)
"""

LAST_WORDS = "\nlast words\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("work", "said"),
    [
        (WAITS, "interrupted\n"),
        (SWALLOWS, LAST_WORDS),
        (UNRAISABLE, LAST_WORDS),
        (NATIVE, LAST_WORDS),
        (THREAD_STAYS, "interrupted\n"),
    ],
)
def test_a_command_ends_within_two_seconds_with_one_sentence(work: str, said: str, number: signal.Signals) -> None:
    code, errors, seconds = signalled(work, number)
    assert code == 128 + number
    assert errors == said
    assert seconds < 2


def test_a_second_signal_while_the_command_ends_does_nothing() -> None:
    assert signalled(WAITS, signal.SIGINT, signal.SIGINT)[:2] == (130, "interrupted\n")


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    code, errors, _ = signalled(WAITS, signal.SIGINT, signal.SIGTERM, ignoring=True)
    assert (code, errors) == (143, "interrupted\n")
