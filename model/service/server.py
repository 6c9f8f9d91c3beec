"""Runs an application with uvicorn until Ctrl-C or SIGTERM, which let requests in flight finish."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

GRACE_S: Final = 30
"""Time for requests in flight to finish after a signal; a second Ctrl-C ends at once."""


def run(app: Any, host: str, port: int, on_start: Callable[[str], None]) -> bool:
    """Serves an application until a signal.

    Args:
        app: An ASGI application.
        host: Address to listen on.
        port: Port; 0 for a free one.
        on_start: Called with the address, once requests are accepted.

    Returns:
        Whether it could start.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config, on_start)
    try:
        server.run()
    except SystemExit:  # the port is taken; uvicorn has said so
        return False
    return server.started


class _Server(uvicorn.Server):
    """Tells its address, and ends after a signal without raising it again."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[str], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._on_start(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        old = {number: signal.signal(number, self.handle_exit) for number in numbers}
        # The console command watches this descriptor to end a command that a signal does not end soon.
        descriptor = signal.set_wakeup_fd(-1)
        try:
            yield
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in old.items():
                signal.signal(number, handler)
