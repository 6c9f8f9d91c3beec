"""Ends a local run when one of its worker processes dies: Beam's local runner would wait for the dead worker forever.

Inside `watch_workers`, a worker that dies, or a Ctrl-C, stops all workers of this process at once. After a worker's death the run
ends with an error that names it and the work in flight. A failed run waits for its other workers for a few seconds only.
Workers write to temporary names, so killing them leaves nothing that a later run would take for finished.
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
"""Workers end without an error when a run is over. The run must end within this time after the first of them."""
_CLOSING_S = 5.0
"""Time for workers to end by themselves when the run is over, successful or not."""
_UNWIND_S = 5.0
"""Time for the main thread to leave Beam before the process is ended."""

_WORKER_DIED = signal.SIGUSR1
"""Takes the main thread out of Beam after a worker's death."""
_SILENT = logging.CRITICAL + 1
"""Beam logs a traceback for every connection that the killed workers leave open."""

_CLOSING = "close_all"
"""The function of Beam's runner that stops the workers and waits for them."""
_WORKER_MODULE = "pipeline.runners.local_worker"
_WORKER_THREAD = "run_worker"
_READER_THREADS = ("read_grpc_client_inputs", "beam_control_read")
_READER_LOG = "apache_beam.runners.worker.data_plane"
_EXIT_STATUS = re.compile(r"Worker subprocess exited with return code (-?\d+)")


class _WorkerDied(BaseException):
    """Takes the main thread out of Beam. Not an Exception, so that no handler inside Beam catches it."""


@contextlib.contextmanager
def watch_workers(in_flight: Callable[[], list[str]]) -> Iterator[None]:
    """Watches the Beam worker processes of this process while the block runs a pipeline.

    Must be entered in the main thread; one at a time. If the main thread needs more than 5 s to leave Beam after a worker died,
    the message goes to standard error and the process ends with status 1.

    Args:
        in_flight: Names the work under way; called once, from another thread, after a worker died.

    Raises:
        RunnerError: A worker died; names its process id, how it ended, and the work in flight.
        KeyboardInterrupt: Ctrl-C; all workers have ended.
    """
    watch = _WorkerWatchdog(in_flight)
    watch.start()
    try:
        yield
    except _WorkerDied:
        pass
    finally:
        watch.stop()
    if watch.error is not None:
        raise watch.error


class _WorkerWatchdog:
    def __init__(self, in_flight: Callable[[], list[str]]) -> None:
        self.error: RunnerError | None = None
        self._in_flight = in_flight
        self._workers: dict[int, psutil.Process] = {}
        self._statuses: list[int] = []
        self._stopping = False
        self._interrupted = False
        self._closed = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="worker-watchdog", daemon=True)

    def start(self) -> None:
        self._old_hook, threading.excepthook = threading.excepthook, self._on_thread_error
        self._beam_log = logging.getLogger("apache_beam")
        self._old_level = self._beam_log.level
        # It would only log that a connection broke, before the worker's exit status is known.
        logging.getLogger(_READER_LOG).disabled = True
        self._old_handlers = {
            signal.SIGINT: signal.signal(signal.SIGINT, self._on_interrupt),
            _WORKER_DIED: signal.signal(_WORKER_DIED, self._on_worker_death),
        }
        self._thread.start()

    def stop(self) -> None:
        self._closed.set()
        self._wake.set()
        self._thread.join()
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        if self._interrupted:
            return  # The command ends, and Beam's threads may report the end of their workers even later.
        self._beam_log.setLevel(self._old_level)
        logging.getLogger(_READER_LOG).disabled = False
        threading.excepthook = self._old_hook

    def _on_thread_error(self, args: Any) -> None:
        """Collects the exit status that Beam's waiting thread raises; drops the errors of other threads that follow from it."""
        status = _EXIT_STATUS.search(str(args.exc_value))
        if status is not None and args.thread is not None and args.thread.name == _WORKER_THREAD:
            self._statuses.append(int(status[1]))
            self._wake.set()
        elif not (self._statuses or self._stopping or getattr(args.thread, "name", "") in _READER_THREADS):
            self._old_hook(args)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        self._beam_log.setLevel(_SILENT)
        if not self._interrupted:
            self._interrupted = self._stopping = True
            self._kill_all()
            raise KeyboardInterrupt

    def _on_worker_death(self, number: int, frame: FrameType | None) -> None:
        self._beam_log.setLevel(_SILENT)
        raise _WorkerDied

    def _poll(self) -> None:
        closing_since: float | None = None
        gone_since: float | None = None
        while not self._closed.is_set():
            self._wake.wait(_POLL_S)
            if self._stopping:  # Beam may have been starting a worker
                self._kill_all()
                self._closed.wait(_POLL_S)
                continue
            now = time.monotonic()
            self._workers.update({worker.pid: worker for worker in _worker_processes()})
            gone = [pid for pid, worker in self._workers.items() if not _runs(worker)]
            if closing_since is None and _main_thread_is_in(_CLOSING):
                closing_since = now
            if closing_since is not None:
                # Beam waits forever for a worker that had not connected yet when another one failed.
                if now - closing_since > _CLOSING_S:
                    self._stopping = True
                self._closed.wait(_POLL_S)
            elif self._statuses or gone:
                gone_since = gone_since or now
                grace = _POLL_S if self._statuses else _QUIET_EXIT_S
                if now - gone_since >= grace and not self._closed.wait(_POLL_S):
                    self._end_run(gone)
                    return

    def _end_run(self, gone: list[int]) -> None:
        pids = ", ".join(map(str, sorted(gone)))
        who = f"worker process{'es' if len(gone) > 1 else ''} {pids}" if gone else "a worker process"
        how = ", ".join(sorted({_ending(status) for status in self._statuses})) or "ended during the run"
        self._kill_all()
        work = self._in_flight()
        named = f"in flight: {', '.join(work)}" if work else "nothing was in flight"
        self.error = RunnerError(
            f"{who} {how}; {named}. Finished work is kept: run the command again to go on. "
            "If the kernel ended it because memory ran out, use fewer workers (--workers)"
        )
        # A real signal, not interrupt_main: only a signal ends the main thread's wait for a lock.
        signal.pthread_kill(threading.main_thread().ident or 0, _WORKER_DIED)
        if not self._closed.wait(_UNWIND_S):
            sys.stderr.write(f"error: {self.error}\n")
            sys.stderr.flush()
            os._exit(1)

    def _kill_all(self) -> None:
        """Kills the workers. SIGTERM would let them finish their shares first, which can take hours."""
        for worker in {*self._workers.values(), *_worker_processes()}:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()


def _worker_processes() -> list[psutil.Process]:
    # Children of its own only: a program that a worker starts has the worker's command line for a moment, and ends soon.
    workers = []
    for child in psutil.Process().children():
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
    """Describes an exit status. Both -n and 128 + n mean signal n; a shell reports the latter."""
    number = -status if status < 0 else status - 128
    if 0 < number < signal.NSIG:
        with contextlib.suppress(ValueError):
            return f"was ended by signal {number} ({signal.Signals(number).name})"
    return f"ended with status {status}"
