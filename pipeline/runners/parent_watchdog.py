"""Exits a worker when the process that started it has ended.

A command that is killed cannot stop its workers, and Beam's workers would first finish their share, which can take hours, beside
the run that is started next. So each worker watches the process of its command and exits within half a second of its end.
"""

import contextlib
import os
import socket
import threading
import time
from dataclasses import dataclass

import psutil

_POLL_S = 0.25
_watched: set[int] = set()


@dataclass(frozen=True)
class ParentWatchdog:
    """The process of a command, which its workers watch. Made in the command, started in every worker.

    Attributes:
        host: Name of the command's machine.
        pid: Process id of the command.
        started: Start of that process in seconds since the epoch: the system uses process ids again.
    """

    host: str
    pid: int
    started: float

    @classmethod
    def of_this_process(cls) -> "ParentWatchdog":
        """A watchdog for the workers of the calling process."""
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    def start(self) -> None:
        """Exits the calling process once the command has ended. Does nothing on another machine or in the command itself."""
        if self.host != socket.gethostname() or self.pid == os.getpid() or self.pid in _watched or not self._runs():
            return
        _watched.add(self.pid)
        threading.Thread(target=self._watch, name="parent-watchdog", daemon=True).start()

    def _watch(self) -> None:
        while self._runs():
            time.sleep(_POLL_S)
        os._exit(1)

    def _runs(self) -> bool:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        return False
