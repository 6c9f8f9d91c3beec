"""Prism, Beam's portable runner in Go, for tests: built once by `make prism`."""

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.s3_server import GO_LOCATIONS

REPOSITORY = Path(__file__).resolve().parents[2]


class PrismUnavailableError(Exception):
    """Prism cannot be built here; the message is the reason."""


def build() -> Path:
    """Gives the binary, built on first use into the checkout's cache.

    Raises:
        PrismUnavailableError: There is no Go, or its modules cannot be fetched.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *GO_LOCATIONS))
    if shutil.which("go", path=path) is None:
        raise PrismUnavailableError("no go on the PATH: Prism cannot be built here")
    cache = REPOSITORY / ".cache" / "prism"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "build.lock").open("w") as lock:  # test processes may run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(
            ["make", "prism"],
            cwd=REPOSITORY,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    if made.returncode != 0:
        words = (made.stderr + made.stdout).strip().splitlines() or ["no output"]
        raise PrismUnavailableError(f"`make prism` failed: {words[-1][:300]}")
    return cache / "prism"


@contextlib.contextmanager
def endpoint(binary: Path, folder: Path) -> Iterator[str]:
    """Runs Prism as a job service of its own; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "prism.log").open("wb") as log:
        process = subprocess.Popen([binary, f"--job_port={port}", "--serve_http=false"], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, (folder / "prism.log").read_text()
            assert time.monotonic() < end, "Prism does not listen"
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
