"""A Flink cluster on this machine: starts, finds and stops a JobManager and TaskManagers, each with a Beam worker pool.

Beam numbers the workers of each TaskManager by itself, and a pool tells workers apart by that number alone: TaskManagers cannot
share one. Everything listens on loopback addresses only, on free ports, and logs to one folder. Each process leads its own
process group, so that stopping it stops all its descendants. The jars come from the `apache-flink-libraries` wheel; no Flink
installation is needed.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from java_commands import HOST, POOL_NAME, job_manager_command, task_manager_command, write_configuration

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("BONAFIDE_FLINK_CACHE", HERE.parent.parent / ".cache" / "flink"))
STATE = CACHE / "cluster"
STANDIN_JAR = CACHE / "standin" / "bonafide-flink-2.2-standin.jar"
"""The stand-in for Beam's Flink runner, for tests. Nothing uses it unless a job names it."""

_START_S = 90
_STOP_S = 10


class ClusterError(RuntimeError):
    """The local cluster cannot be started, found or stopped; the message says why."""


class LocalCluster:
    """A running cluster, or one to be started.

    Attributes:
        folder: Logs, configuration and temporary files.
        rest_port: Port of the REST interface and the dashboard.
        pool_port: Port of the worker pools, each on an address of its own.
        pids: Process id of "jobmanager", "taskmanager-1", "worker-pool-1", ...; ended processes stay listed.
    """

    def __init__(
        self,
        folder: Path = STATE,
        task_managers: int = 2,
        slots: int = 1,
        python: str = sys.executable,
        cache: Path = CACHE,
    ) -> None:
        self.folder = folder.resolve()
        self.task_managers = task_managers
        self.slots = slots
        self.python = python
        self.rest_port = 0
        self.pool_port = 0
        self.pids: dict[str, int] = {}
        self._rpc_port = 0
        self._jars = sorted((cache / "site" / "pyflink" / "lib").glob("*.jar"))

    @property
    def dashboard(self) -> str:
        """Address of the dashboard and of the REST interface."""
        return f"http://{HOST}:{self.rest_port}"

    def beam_flags(self) -> list[str]:
        """Beam flags for a job on this cluster."""
        return [
            f"--flink_master={HOST}:{self.rest_port}",
            "--environment_type=EXTERNAL",
            f"--environment_config={POOL_NAME}:{self.pool_port}",
        ]

    def __enter__(self) -> "LocalCluster":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts all processes and waits until every slot is offered.

        Raises:
            ClusterError: Java or the jars are missing, or a process ended or did not answer; all processes are stopped.
        """
        if shutil.which("java") is None:
            raise ClusterError("no java on the PATH; Flink 2.2 needs Java 17")
        if not self._jars:
            raise ClusterError(f"no Flink jars below {CACHE}; run `make flink-cache`")
        for name in ("conf", "tmp", "log"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir(parents=True)
        write_configuration(self.folder)
        self.rest_port, self.pool_port, self._rpc_port = _free_ports(3)
        try:
            self._start_job_manager()
            for number in range(1, self.task_managers + 1):
                self._start_pool(number)
            for _ in range(self.task_managers):
                self.start_task_manager()
            self.wait_for_task_managers(self.task_managers)
        except BaseException:
            self.stop()
            raise

    def start_task_manager(self) -> str:
        """Starts one more TaskManager after its worker pool, without waiting for it; gives its name in `pids`."""
        number = 1 + sum(key.startswith("taskmanager") for key in self.pids)
        name, pool = f"taskmanager-{number}", f"{POOL_NAME}-{number}"
        if pool not in self.pids:
            self._start_pool(number)
        self._wait(pool, lambda: _listens(_pool_host(number), self.pool_port))
        command = task_manager_command(name, self.folder, self._jars, self._rpc_port, self.slots, _pool_host(number))
        self._start_java(name, command)
        return name

    def wait_for_task_managers(self, count: int) -> None:
        """Waits until exactly `count` TaskManagers are registered.

        Raises:
            ClusterError: It took too long, or the JobManager ended.
        """
        self._wait("jobmanager", lambda: self.rest("/overview").get("taskmanagers") == count)

    def kill(self, name: str) -> None:
        """Kills a process with SIGKILL and waits for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[name], signal.SIGKILL)
        with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            psutil.Process(self.pids[name]).wait(timeout=_STOP_S)

    def workers(self) -> list[int]:
        """Process ids of the pools' running Python workers."""
        found = []
        for name, pid in self.pids.items():
            if name.startswith(POOL_NAME):
                with contextlib.suppress(psutil.NoSuchProcess):
                    found += [each.pid for each in psutil.Process(pid).children() if is_running(each.pid)]
        return found

    def rest(self, path: str, method: str = "GET") -> dict[str, Any]:
        """Sends a request to the REST interface; gives an empty answer if nothing answers."""
        request = urllib.request.Request(self.dashboard + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return dict(json.loads(answer.read() or b"{}"))
        except (OSError, urllib.error.URLError):
            return {}

    def stop(self) -> None:
        """Ends every process with all its descendants, first by SIGTERM, then by SIGKILL. Safe to call twice."""
        groups = [pid for pid in self.pids.values() if _group_runs(pid)]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for group in groups:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, number)
            deadline = time.monotonic() + _STOP_S
            while groups and time.monotonic() < deadline:
                groups = [group for group in groups if _group_runs(group)]
                time.sleep(0.05)
        self.pids.clear()
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)

    def save(self) -> None:
        """Writes what `load` needs into the folder."""
        state: dict[str, Any] = {
            key: getattr(self, key) for key in ("task_managers", "slots", "rest_port", "pool_port", "pids", "_rpc_port")
        }
        state["started"] = {name: _started(pid) for name, pid in self.pids.items()}
        (self.folder / "cluster.json").write_text(json.dumps(state, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path = STATE) -> "LocalCluster":
        """Loads the cluster that was saved to a folder.

        Raises:
            ClusterError: No cluster was saved there.
        """
        path = folder / "cluster.json"
        if not path.is_file():
            raise ClusterError("no local cluster runs")
        cluster = cls(folder)
        state = json.loads(path.read_text())
        started = state.pop("started")
        for key, value in state.items():
            setattr(cluster, key, value)
        # After a restart of the machine, other processes may have these ids.
        cluster.pids = {name: pid for name, pid in cluster.pids.items() if _started(pid) == started[name]}
        return cluster

    def _start_job_manager(self) -> None:
        command = job_manager_command(self.folder, self._jars, self._rpc_port, self.rest_port)
        self._start_java("jobmanager", command)

    def _start_pool(self, number: int) -> None:
        address = [f"--host={_pool_host(number)}", f"--port={self.pool_port}"]
        self._start_process(f"{POOL_NAME}-{number}", [self.python, str(HERE / "worker_pool.py"), *address])

    def _start_java(self, name: str, command: Sequence[str]) -> None:
        (self.folder / "tmp" / name).mkdir()
        self._start_process(name, command)

    def _start_process(self, name: str, command: Sequence[str]) -> None:
        with (self.folder / "log" / f"{name}.out").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        self.pids[name] = process.pid

    def _wait(self, name: str, ready: Any) -> None:
        deadline = time.monotonic() + _START_S
        while not ready():
            ended = not is_running(self.pids[name])
            if ended or time.monotonic() > deadline:
                what = "ended" if ended else f"was not ready within {_START_S} s"
                raise ClusterError(f"{name} {what}; see {self.folder / 'log'}\n{self._last_words(name)}")
            time.sleep(0.2)

    def _last_words(self, name: str) -> str:
        for suffix in ("out", "log"):
            path = self.folder / "log" / f"{name}.{suffix}"
            if path.is_file() and path.stat().st_size:
                return "\n".join(path.read_text(errors="replace").splitlines()[-15:])
        return ""


@contextlib.contextmanager
def saved(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """Runs a cluster during the block, saved so that other processes can load it."""
    with cluster:
        cluster.save()
        try:
            yield cluster
        finally:
            (cluster.folder / "cluster.json").unlink(missing_ok=True)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _pool_host(number: int) -> str:
    return f"127.0.2.{number}"


def _listens(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def _started(pid: int) -> float:
    """Start of a process in seconds since the epoch; 0 if there is none with this id."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _group_runs(group: int) -> bool:
    """Whether a process of the group is alive; reaps the leader if it is this process's child."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(group, os.WNOHANG)
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
