"""Ends a worker process when the command that started it has ended, in every phase, even if the command was killed.

A command that is killed cannot stop its workers, and Beam's workers would first finish their share, which can take hours, beside
the run that is started next.
"""

import contextlib
import ctypes
import os
import signal
import threading
import time

_POLL_S = 0.25
_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Ends the calling process as soon as its parent has ended, or at once if it has already.

    On Linux the kernel does so, even while native code keeps Python from running; elsewhere a thread within half a second.

    Args:
        parent: Process id of the command, which started this process itself, without a shell between them.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that
        os._exit(1)
    threading.Thread(target=_watch, args=(parent,), name="parent-watchdog", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os._exit(1)
