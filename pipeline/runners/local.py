"""Ends a local run when one of its worker processes dies: Beam's local runner would wait for the dead worker for ever.

While `watch_workers` is open, a worker that ends badly, or a Ctrl-C, stops all workers of this process at once; the run ends with
an error that names the worker and the work in flight. A run that failed does not wait for its other workers for long, either.
Workers write to temporary names, so what they leave can be resumed.
"""

import contextlib
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import psutil

from pipeline.errors import RunnerError

_POLL_S = 0.2
_QUIET_EXIT_S = 2.0
"""A worker that ended without an error is normal at the end of a run, and the run must then end soon."""
_CLOSING_S = 5.0
"""What workers get to end by themselves when the run is over, well or badly."""
_UNWIND_S = 5.0
"""What the main thread gets for its way out of Beam before the process is ended."""

_CLOSING = "close_all"
"""The function of Beam's runner that asks the workers to end and waits for them."""
_WORKER_MODULE = "apache_beam.runners.worker.sdk_worker_main"
_WORKER_THREAD = "run_worker"
_READER_THREADS = ("read_grpc_client_inputs", "beam_control_read")
_READER_LOG = "apache_beam.runners.worker.data_plane"
_EXIT_STATUS = re.compile(r"Worker subprocess exited with return code (-?\d+)")


class _Interrupted(BaseException):
    """Takes the main thread out of Beam; not an Exception, so that nothing on the way handles it."""


@contextlib.contextmanager
def watch_workers(in_flight: Callable[[], list[str]]) -> Iterator[None]:
    """Watches the Beam worker processes of this process while the block runs a pipeline.

    Must be entered in the main thread; one at a time. If the way out of Beam takes longer than 5 s after a worker was lost,
    the message goes to standard error and the process ends with status 1.

    Args:
        in_flight: Names the work that is under way, called once, from another thread, after a worker died.

    Raises:
        RunnerError: A worker died; names its process id, how it ended, and the work in flight.
        KeyboardInterrupt: Ctrl-C; all workers are gone.
    """
    watch = _Watch(in_flight)
    watch.start()
    try:
        yield
    except _Interrupted:
        pass
    finally:
        watch.stop()
    if watch.error is not None:
        raise watch.error


class _Watch:
    def __init__(self, in_flight: Callable[[], list[str]]) -> None:
        self.error: RunnerError | None = None
        self._in_flight = in_flight
        self._workers: dict[int, psutil.Process] = {}
        self._statuses: list[int] = []
        self._stopping = False
        self._closed = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="worker-watch", daemon=True)

    def start(self) -> None:
        self._old_hook, threading.excepthook = threading.excepthook, self._on_thread_error
        self._beam_log = logging.getLogger("apache_beam")
        self._old_level = self._beam_log.level
        # All that the reading end can say is that a worker is gone, before its exit status is known.
        logging.getLogger(_READER_LOG).disabled = True
        self._old_handler = signal.signal(signal.SIGINT, self._on_interrupt)
        self._thread.start()

    def stop(self) -> None:
        self._closed.set()
        self._wake.set()
        self._thread.join()
        signal.signal(signal.SIGINT, self._old_handler)
        self._beam_log.setLevel(self._old_level)
        logging.getLogger(_READER_LOG).disabled = False
        threading.excepthook = self._old_hook

    def _on_thread_error(self, args: Any) -> None:
        """Beam's thread that waits for a worker raises the exit status; other threads complain of the consequences."""
        status = _EXIT_STATUS.search(str(args.exc_value))
        if status is not None and args.thread is not None and args.thread.name == _WORKER_THREAD:
            self._statuses.append(int(status[1]))
            self._wake.set()
        elif not (self._statuses or self._stopping or getattr(args.thread, "name", "") in _READER_THREADS):
            self._old_hook(args)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        # Beam logs a traceback for every connection that the killed workers leave open.
        self._beam_log.setLevel(logging.CRITICAL)
        if self.error is not None:
            raise _Interrupted
        self._stopping = True
        self._kill_all()
        raise KeyboardInterrupt

    def _poll(self) -> None:
        closing_since: float | None = None
        gone_since: float | None = None
        while not self._closed.is_set():
            self._wake.wait(_POLL_S)
            now = time.monotonic()
            self._workers.update({worker.pid: worker for worker in _worker_processes()})
            gone = [pid for pid, worker in self._workers.items() if not _runs(worker)]
            if closing_since is None and _main_thread_is_in(_CLOSING):
                closing_since = now
            if closing_since is not None:
                # Beam waits for ever for a worker that had not connected yet when another one failed.
                if now - closing_since > _CLOSING_S:
                    self._stopping = True
                    self._kill_all()
                self._closed.wait(_POLL_S)
            elif self._statuses or gone:
                gone_since = gone_since or now
                grace = _POLL_S if self._statuses else _QUIET_EXIT_S
                if now - gone_since >= grace and not self._stopping and not self._closed.wait(_POLL_S):
                    self._end_run(gone)
                    return

    def _end_run(self, gone: list[int]) -> None:
        who = "a worker process" if len(gone) != 1 else f"worker process {gone[0]}"
        if len(gone) > 1:
            who = f"worker processes {', '.join(map(str, sorted(gone)))}"
        how = ", ".join(sorted({_ending(status) for status in self._statuses})) or "ended in mid-run"
        self._kill_all()
        work = self._in_flight()
        named = f"in flight: {', '.join(work)}" if work else "nothing was in flight"
        self.error = RunnerError(
            f"{who} {how}; {named}. What is finished is kept: run the command again to go on. "
            "If it was the kernel for want of memory, use fewer workers (--cores)"
        )
        # A real signal, not interrupt_main: only that ends the main thread's wait for a lock.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if not self._closed.wait(_UNWIND_S):
            sys.stderr.write(f"error: {self.error}\n")
            sys.stderr.flush()
            os._exit(1)

    def _kill_all(self) -> None:
        """Kills instead of asking: a worker that is asked would first finish its share, which can take hours."""
        # Those known from before too: a worker whose shell died is no child of this process any more.
        for worker in {*self._workers.values(), *_worker_processes()}:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()


def _worker_processes() -> list[psutil.Process]:
    """The Python processes themselves, not the shell that Beam starts each of them with."""
    workers = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if _WORKER_MODULE in child.cmdline():
                workers.append(child)
    return workers


def _main_thread_is_in(function: str) -> bool:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_code.co_name == function:
            return True
        frame = frame.f_back
    return False


def _runs(worker: psutil.Process) -> bool:
    try:
        return bool(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _ending(status: int) -> str:
    """Says what an exit status means; a shell in between reports signal n as 128 + n."""
    number = -status if status < 0 else status - 128
    if 0 < number < signal.NSIG:
        with contextlib.suppress(ValueError):
            return f"was ended by signal {number} ({signal.Signals(number).name})"
    return f"ended with status {status}"
