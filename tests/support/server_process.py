"""Servers that tests run as processes of their own on the loopback interface."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def free_port() -> int:
    """A port that no program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def server_process(
    command: Sequence[str | Path],
    log: Path,
    connect: Callable[[], contextlib.AbstractContextManager[Any]],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    start_s: float = 30.0,
) -> Iterator[None]:
    """Runs a server within the block, which begins when the server answers.

    Args:
        command: Of the server.
        log: Takes what it prints.
        connect: Connects to it, or sends it a request; raises an `OSError` while it does not answer.
        environment: Its variables; None for those of this process.
        folder: Where it runs; None for the folder of this process.
        start_s: Seconds that it may take to answer.

    Raises:
        RuntimeError: It ended, or did not answer in time; the message ends with what it printed.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=folder
        )
    try:
        deadline = time.monotonic() + start_s
        while not _answers(connect):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(connect: Callable[[], contextlib.AbstractContextManager[Any]]) -> bool:
    try:
        with connect():
            return True
    except OSError:
        return False
