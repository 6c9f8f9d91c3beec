"""A real Flink cluster for tests: fetches the jars and builds the stand-in runner once, starts JobManager, TaskManagers and
worker pools.

If Java, Maven or a jar is not available, `FlinkUnavailableError` says why, and the tests that need a cluster are skipped for
that reason.
"""

import contextlib
import fcntl
import importlib
import shutil
import site
import socket
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.imports import REPOSITORY
from tests.support.server_process import free_port, server_process

POOL = REPOSITORY / "deploy" / "flink" / "worker_pool.py"


class FlinkUnavailableError(Exception):
    """No cluster can be started here; the message is the reason."""


def local_cluster(*arguments: Any, **options: Any) -> Any:
    """Makes a `LocalCluster` of `deploy/flink`, whose scripts belong to no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY / "deploy" / "flink")
        return importlib.import_module("cluster").LocalCluster(*arguments, **options)


def standin_flag() -> str:
    """Names the stand-in for Beam's Flink runner, which no job uses unless it is named."""
    return f"--flink_job_server_jar={REPOSITORY / '.cache' / 'flink' / 'standin' / 'bonafide-flink-2.2-standin.jar'}"


def build() -> None:
    """Fetches Flink's jars and builds the stand-in, unless both exist.

    Raises:
        FlinkUnavailableError: Java or Maven is missing, or something cannot be fetched.
    """
    for program in ("java", "mvn", "make"):
        if shutil.which(program) is None:
            raise FlinkUnavailableError(f"no {program} on the PATH: no Flink cluster here")
    cache = REPOSITORY / ".cache" / "flink"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "build.lock").open("w") as lock:  # test processes may run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(
            ["make", "flink-cache"], cwd=REPOSITORY, capture_output=True, text=True, timeout=500, check=False
        )
    if made.returncode != 0:
        words = (made.stderr + made.stdout).strip().splitlines() or ["no output"]
        raise FlinkUnavailableError(f"`make flink-cache` failed, so no Flink cluster here: {words[0][:300]}")


@contextlib.contextmanager
def worker_pool(folder: Path, python: Path | str = sys.executable, wrapper: Sequence[str] = ()) -> Iterator[str]:
    """Runs another worker pool, with another Python or inside a wrapper command; gives its address.

    Args:
        folder: For its log.
        python: Interpreter of its workers.
        wrapper: A command that runs the command that follows it, e.g. in a mount namespace.
    """
    port = free_port()
    with server_process(
        [*wrapper, str(python), str(POOL), f"--port={port}"],
        folder / f"pool-{port}.log",
        lambda: socket.create_connection(("127.0.0.1", port), timeout=1),
        folder=folder,
        start_s=60.0,
    ):
        yield f"127.0.0.1:{port}"


def environment_without_the_project(folder: Path) -> Path:
    """Makes a Python that has every installed package but this project; gives its `python`."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    for path in Path(site.getsitepackages()[0]).iterdir():
        if "bonafide" not in path.name and not (packages / path.name).exists():
            (packages / path.name).symlink_to(path)
    return folder / "bin" / "python"


def environment_with_another_soxr(folder: Path) -> Path:
    """Makes a Python without this project in which soxr seems to have another version; gives its `python`."""
    python = environment_without_the_project(folder)
    found = next(folder.rglob("soxr-*.dist-info"))
    found.unlink()
    other = found.parent / "soxr-0.0.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: soxr\nVersion: 0.0.1\n")
    return python
