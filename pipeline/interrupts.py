"""Ctrl-C and SIGTERM end a command alike: `KeyboardInterrupt` in the main thread, one sentence, and the end within seconds.

The main thread may be in native code, or in foreign code that catches the exception. So a thread of its own ends the process
where that takes too long. What a command leaves then is what it leaves after SIGKILL: the next run removes it.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

_PATIENCE_S: Final = 1.5
"""Time for the main thread to end by itself."""
_patience_s = _PATIENCE_S


class Interruption:
    """How a command was interrupted.

    Attributes:
        number: The signal, or None so far.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, as a shell has it."""
        return 128 + (self.number or signal.SIGINT)


@contextlib.contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Gives an interrupted command more time within the block, as for a cluster to cancel a job; a second signal ends it."""
    global _patience_s
    old, _patience_s = _patience_s, seconds
    try:
        yield
    finally:
        _patience_s = old


@contextlib.contextmanager
def end_on_signals(sentence: Callable[[], str]) -> Iterator[Interruption]:
    """Raises `KeyboardInterrupt` in the block on Ctrl-C and SIGTERM, and ends the process if that does not end it soon.

    Ctrl-C stays ignored where it is, as in a background job. Outside the main thread nothing is done.

    Args:
        sentence: What to print if the process must be ended; else the caller prints it.
    """
    found = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        if found.number is not None:
            return
        found.number = number
        # Foreign code that swallows the exception would print it, above the one sentence.
        sys.unraisablehook = lambda _: None
        warnings.simplefilter("ignore")
        inner = signal.getsignal(signal.SIGINT)
        if callable(inner) and inner is not interrupt:
            inner(signal.SIGINT, frame)  # of a Beam run, which ends its workers
        raise KeyboardInterrupt

    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    numbers = [signal.SIGTERM] if ignored else [signal.SIGTERM, signal.SIGINT]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    error_stream = os.dup(2)  # a Beam run redirects descriptor 2
    old_handlers = {number: signal.signal(number, interrupt) for number in numbers}
    old_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    in_block = threading.Event()
    in_block.set()

    def last_words() -> None:
        if in_block.is_set():
            os.write(error_stream, f"\n{sentence()}\n".encode())

    guard = threading.Thread(target=_guard, args=(reader, last_words), name="interrupt-guard", daemon=True)
    guard.start()
    try:
        yield found
    finally:
        in_block.clear()
        signal.set_wakeup_fd(old_writer)
        for number, handler in old_handlers.items():
            signal.signal(number, signal.SIG_IGN if found.number is not None else handler)
        # After a signal the guard goes on: threads that do not end must not keep the process.
        os.close(writer)
        if found.number is None:
            guard.join()
            os.close(error_stream)


def _guard(reader: int, last_words: Callable[[], None]) -> None:
    """Waits for a signal, then for the end of the process, and ends it. Without a signal it ends when the pipe is closed."""
    number, deadline = 0, None
    while deadline is None or time.monotonic() < deadline:
        wait_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([reader], [], [], wait_s)[0]:
            break
        received = os.read(reader, 64)
        if not received:
            if deadline is None:
                os.close(reader)
                return
            time.sleep(max(0.0, deadline - time.monotonic()))
        for one in received:
            if one in (signal.SIGINT, signal.SIGTERM):
                # A second signal ends the patience with a cluster.
                wanted = time.monotonic() + (_patience_s if deadline is None else _PATIENCE_S)
                number, deadline = number or one, wanted if deadline is None else min(deadline, wanted)
    last_words()
    os._exit(128 + number)
