"""A worker process that ends with the command it works for.

A command that was killed cannot stop its workers, and Beam's would first finish their share, which can take hours, beside
the run that was started in its place. So every worker watches the command's process and ends within half a second of it.
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
class Lifeline:
    """The process of a command; made there, held by its workers.

    Attributes:
        host: Name of its machine.
        pid: Its process id.
        started: When it started, in seconds since the epoch: ids are used again.
    """

    host: str
    pid: int
    started: float

    @classmethod
    def of_this_process(cls) -> "Lifeline":
        """A lifeline to the calling process."""
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    def hold(self) -> None:
        """Ends the calling process when the command's is gone; does nothing on another machine or in that process itself."""
        if self.host != socket.gethostname() or self.pid == os.getpid() or self.pid in _watched or not self._runs():
            return
        _watched.add(self.pid)
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    def _watch(self) -> None:
        while self._runs():
            time.sleep(_POLL_S)
        os._exit(1)

    def _runs(self) -> bool:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        return False
