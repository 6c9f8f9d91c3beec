"""A proxy before an HTTP server that delays each request, and answers some with 503 or with a connection that breaks off.

Run as a program, so that it takes no time of the process under test: `python -m tests.support.bad_proxy --server HOST:PORT`.
It prints its port at the start, and how many requests came and failed at the end.
"""

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_FAILURES = ("refused", "cut request", 120, 400, 2000)
"""What happens to the requests that fail, in turn; a number of bytes: the answer breaks off after them."""
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Proxy:
    """What is done to the requests.

    Attributes:
        server: Host and port behind the proxy.
        delay_s: Seconds that each request waits.
        fail_every: One of so many requests fails, as `_FAILURES` says; 0: none.
        requests: Requests so far.
        failed: Those that failed.
    """

    server: tuple[str, int]
    delay_s: float
    fail_every: int
    requests: int = 0
    failed: int = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes on the requests of one connection."""
        server_reader, server_writer = await asyncio.open_connection(*self.server)
        answers = _Answers()
        pump = asyncio.ensure_future(answers.pump(server_reader, writer))
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                failure = None
                if self.fail_every and self.requests % self.fail_every == 0:
                    failure = _FAILURES[self.failed % len(_FAILURES)]
                    self.failed += 1
                await asyncio.sleep(self.delay_s)
                if failure == "refused":
                    writer.write(_REFUSED)
                    await writer.drain()
                if failure in ("refused", "cut request"):
                    break
                if isinstance(failure, int):
                    answers.left = failure
                server_writer.write(head)
                left = _content_length(head)
                while left:
                    data = await reader.read(min(left, 1 << 16))
                    if not data:
                        break
                    server_writer.write(data)
                    await server_writer.drain()
                    left -= len(data)
        pump.cancel()
        for end in (server_writer, writer):
            end.close()


class _Answers:
    """Passes on the answers of a connection.

    Attributes:
        left: Bytes until the connection is cut; None for any number.
    """

    left: int | None = None

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                if self.left is not None:
                    data, self.left = data[: self.left], self.left - len(data)
                writer.write(data)
                await writer.drain()
                if self.left is not None and self.left <= 0:
                    break
        writer.close()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


@contextlib.contextmanager
def bad_proxy(server: str, delay_s: float = 0.0, fail_every: int = 0) -> Iterator[tuple[str, list[int]]]:
    """Runs a proxy before a server.

    Args:
        server: Its address, `http://host:port`.
        delay_s: As of `Proxy`.
        fail_every: As of `Proxy`.

    Yields:
        The address of the proxy, and a list that holds the number of requests and of those that failed after the block.
    """
    options = [f"--server={server.removeprefix('http://')}", f"--delay={delay_s}", f"--fail-every={fail_every}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.bad_proxy", *options],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    counts: list[int] = []
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", counts
    finally:
        process.terminate()
        counts += map(int, process.communicate()[0].split())


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--fail-every", type=int, default=0)
    options = parser.parse_args()
    host, _, port = options.server.partition(":")
    proxy = Proxy((host, int(port)), options.delay, options.fail_every)
    server = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    await done.wait()
    print(proxy.requests, proxy.failed, flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
