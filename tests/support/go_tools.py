"""Programs in Go that tests use, built once by a target of the Makefile into the checkout's cache."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.imports import REPOSITORY

GO_LOCATIONS = ("/usr/local/go/bin", "/usr/lib/go/bin")


class GoToolUnavailableError(Exception):
    """The program cannot be built here; the message is the reason."""


def build(target: str, binary: Path) -> Path:
    """Gives the binary, relative to the checkout, built on first use by a target of the Makefile.

    Raises:
        GoToolUnavailableError: There is neither the binary nor Go, or Go's modules cannot be fetched.
    """
    made = REPOSITORY / binary
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *GO_LOCATIONS))
    if shutil.which("go", path=path) is None:
        if made.exists():
            return made
        raise GoToolUnavailableError(f"no go on the PATH: `make {target}` cannot build {binary.name} here")
    made.parent.mkdir(parents=True, exist_ok=True)
    with (made.parent / "build.lock").open("w") as lock:  # test processes may run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            ["make", target],
            cwd=REPOSITORY,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    if done.returncode != 0:
        words = (done.stderr + done.stdout).strip().splitlines() or ["no output"]
        raise GoToolUnavailableError(f"`make {target}` failed: {words[-1][:300]}")
    return made
