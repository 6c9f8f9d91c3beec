"""A real Apache Flink cluster on this machine for tests and trials: JobManager, TaskManagers and a Beam worker pool.

Everything listens on 127.0.0.1 alone, on free ports, with small explicit memory sizes (about 2 GiB for two TaskManagers), and
logs to one folder. Each process leads a process group of its own, so that stopping leaves nothing behind. The jars come from the
`apache-flink-libraries` wheel; no Flink installation is needed.

    python deploy/flink/local_cluster.py start
    python deploy/flink/local_cluster.py status
    python deploy/flink/local_cluster.py stop
    python deploy/flink/local_cluster.py run -- bonafide features --on flink
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("BONAFIDE_FLINK_CACHE", HERE.parent.parent / ".cache" / "flink"))
STATE = CACHE / "cluster"
RUNNER_JAR = CACHE / "runner" / "bonafide-flink-2.2-runner.jar"

_HOST = "127.0.0.1"
_START_S = 90
_STOP_S = 10

# What Flink reaches into since Java 17 closed its internals.
_OPENED = (
    *(f"java.{name}" for name in ("lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "text", "time", "util")),
    *(f"java.util.{name}" for name in ("concurrent", "concurrent.atomic", "concurrent.locks")),
    *("sun.net.util", "sun.nio.ch"),
)
_EXPORTED = {
    "java.rmi": ["sun.rmi.registry"],
    "java.security.jgss": ["sun.security.krb5"],
    "jdk.compiler": [f"com.sun.tools.javac.{name}" for name in ("api", "file", "parser", "tree", "util")],
}

_LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = File
appender.file.name = File
appender.file.type = FILE
appender.file.append = true
appender.file.fileName = ${sys:log.file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{2} - %m%n
"""

_COMMON = {
    # A lost TaskManager is noticed in seconds; the defaults are made for large clusters.
    "heartbeat.interval": "1000",
    "heartbeat.timeout": "8000",
    "slot.request.timeout": "30000",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
}


class ClusterError(RuntimeError):
    """The local cluster cannot be started, found or stopped; the message says why."""


class LocalCluster:
    """A running cluster, or one to be started.

    Attributes:
        folder: Logs, configuration and temporary files.
        rest_port: Port of the REST interface and the dashboard.
        pool_port: Port of the worker pool.
        pids: Process id of "jobmanager", "taskmanager-1", ..., "worker-pool"; ended processes stay listed.
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
        return f"http://{_HOST}:{self.rest_port}"

    def beam_flags(self) -> list[str]:
        """Beam flags that bring a job here, with the runner's jar where it was built."""
        jar = [f"--flink_job_server_jar={RUNNER_JAR}"] if RUNNER_JAR.is_file() else []
        return [
            *jar,
            f"--flink_master={_HOST}:{self.rest_port}",
            "--environment_type=EXTERNAL",
            f"--environment_config={_HOST}:{self.pool_port}",
        ]

    def __enter__(self) -> "LocalCluster":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts all processes and waits until every slot is offered.

        Raises:
            ClusterError: Java or the jars are missing, or a process ended or did not answer; nothing is left running.
        """
        if shutil.which("java") is None:
            raise ClusterError("no java on the PATH; Flink 2.2 needs Java 17")
        if not self._jars:
            raise ClusterError(f"no Flink jars below {CACHE}; run `make flink-cache`")
        for name in ("conf", "tmp", "log"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir(parents=True)
        (self.folder / "conf" / "config.yaml").write_text("")
        (self.folder / "conf" / "log4j.properties").write_text(_LOG4J)
        self.rest_port, self.pool_port, self._rpc_port = _free_ports(3)
        try:
            self._start_job_manager()
            self._start_pool()
            for _ in range(self.task_managers):
                self.start_task_manager()
            self.wait_for_task_managers(self.task_managers)
            self._wait("worker-pool", lambda: _listens(self.pool_port))
        except BaseException:
            self.stop()
            raise

    def start_task_manager(self) -> str:
        """Starts one more TaskManager, without waiting for it; gives its name in `pids`."""
        name = f"taskmanager-{1 + sum(key.startswith('taskmanager') for key in self.pids)}"
        options = {
            **_COMMON,
            "jobmanager.rpc.address": _HOST,
            "jobmanager.rpc.port": str(self._rpc_port),
            "taskmanager.host": _HOST,
            "taskmanager.bind-host": _HOST,
            "taskmanager.resource-id": name,
            "taskmanager.numberOfTaskSlots": str(self.slots),
            "taskmanager.cpu.cores": str(float(self.slots)),
            "taskmanager.memory.framework.heap.size": "128m",
            "taskmanager.memory.task.heap.size": "192m",
            "taskmanager.memory.framework.off-heap.size": "64m",
            "taskmanager.memory.task.off-heap.size": "64m",
            "taskmanager.memory.managed.size": "64m",
            "taskmanager.memory.jvm-metaspace.size": "192m",
            "taskmanager.memory.jvm-overhead.min": "64m",
            "taskmanager.memory.jvm-overhead.max": "64m",
        }
        java = ["-Xms64m", "-Xmx320m", "-XX:MaxDirectMemorySize=192m", "-XX:MaxMetaspaceSize=192m"]
        self._start_java(name, "org.apache.flink.runtime.taskexecutor.TaskManagerRunner", java, options)
        return name

    def wait_for_task_managers(self, count: int) -> None:
        """Waits until exactly `count` TaskManagers are registered.

        Raises:
            ClusterError: It took too long, or the JobManager ended.
        """
        self._wait("jobmanager", lambda: self.rest("/overview").get("taskmanagers") == count)

    def kill(self, name: str) -> None:
        """Kills a process (SIGKILL) as a failure would."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[name], signal.SIGKILL)
        with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            psutil.Process(self.pids[name]).wait(timeout=_STOP_S)

    def workers(self) -> list[int]:
        """Process ids of the Python workers that the pool has started and that run."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pids["worker-pool"]).children()
            return [child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return []

    def rest(self, path: str, method: str = "GET") -> dict[str, Any]:
        """Asks the REST interface; an empty answer where nobody answers."""
        request = urllib.request.Request(self.dashboard + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return dict(json.loads(answer.read() or b"{}"))
        except (OSError, urllib.error.URLError):
            return {}

    def stop(self) -> None:
        """Ends every process with all its descendants: asks first, then kills. Safe to call twice."""
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
        """Finds the cluster that `start` on the command line left running.

        Raises:
            ClusterError: There is none.
        """
        path = folder / "cluster.json"
        if not path.is_file():
            raise ClusterError("no local cluster runs")
        cluster = cls(folder)
        state = json.loads(path.read_text())
        started = state.pop("started")
        for key, value in state.items():
            setattr(cluster, key, value)
        # After a restart of the machine other processes may have these ids.
        cluster.pids = {name: pid for name, pid in cluster.pids.items() if _started(pid) == started[name]}
        return cluster

    def _start_job_manager(self) -> None:
        options = {
            **_COMMON,
            "jobmanager.rpc.address": _HOST,
            "jobmanager.rpc.port": str(self._rpc_port),
            "jobmanager.bind-host": _HOST,
            "rest.address": _HOST,
            "rest.bind-address": _HOST,
            "rest.bind-port": str(self.rest_port),
            "rest.port": str(self.rest_port),
            "web.tmpdir": str(self.folder / "tmp"),
            "jobmanager.memory.heap.size": "256m",
            "jobmanager.memory.off-heap.size": "64m",
            "jobmanager.memory.jvm-metaspace.size": "192m",
            "jobmanager.memory.jvm-overhead.min": "64m",
            "jobmanager.memory.jvm-overhead.max": "64m",
        }
        java = ["-Xms64m", "-Xmx256m", "-XX:MaxMetaspaceSize=192m"]
        main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        self._start_java("jobmanager", main, java, options)

    def _start_pool(self) -> None:
        command = [self.python, str(HERE / "worker_pool.py"), f"--host={_HOST}", f"--port={self.pool_port}"]
        self._start_process("worker-pool", command)

    def _start_java(self, name: str, main: str, java: Sequence[str], options: Mapping[str, str]) -> None:
        temporary = self.folder / "tmp" / name
        temporary.mkdir()
        settings = {**options, "io.tmp.dirs": str(temporary), "env.java.opts.all": ""}
        command = [
            "java",
            *java,
            "-XX:+UseSerialGC",
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
            *(f"--add-exports={module}/{name}=ALL-UNNAMED" for module, names in _EXPORTED.items() for name in names),
            f"-Djava.io.tmpdir={temporary}",
            f"-Dlog.file={self.folder / 'log' / f'{name}.log'}",
            f"-Dlog4j.configurationFile={self.folder / 'conf' / 'log4j.properties'}",
            "-cp",
            os.pathsep.join(map(str, self._jars)),
            main,
            "--configDir",
            str(self.folder / "conf"),
            *(f"-D{key}={value}" for key, value in settings.items() if value),
        ]
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
            ended = not _runs(self.pids[name])
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
    """Runs a cluster that `load` finds from other processes meanwhile."""
    with cluster:
        cluster.save()
        try:
            yield cluster
        finally:
            (cluster.folder / "cluster.json").unlink(missing_ok=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop", "status", "run"])
    parser.add_argument("command", nargs="*", help="for run: the command, with BEAM_ARGS set to reach the cluster")
    parser.add_argument("--task-managers", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--slots", type=int, default=1, help="slots of each TaskManager (default: %(default)s)")
    arguments = parser.parse_args()
    # Stopped from outside, it stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return _act(arguments)
    except ClusterError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _act(arguments: argparse.Namespace) -> int:
    if arguments.action == "stop":
        cluster = LocalCluster.load()
        cluster.stop()
        (cluster.folder / "cluster.json").unlink()
        return 0
    if arguments.action == "status":
        cluster = LocalCluster.load()
        _describe(cluster)
        return 0 if all(_runs(pid) for pid in cluster.pids.values()) else 1
    if (STATE / "cluster.json").exists():
        raise ClusterError("a local cluster runs already; `python deploy/flink/local_cluster.py stop` ends it")
    cluster = LocalCluster(task_managers=arguments.task_managers, slots=arguments.slots)
    if arguments.action == "start":
        cluster.start()
        cluster.save()
        _describe(cluster)
        return 0
    if not arguments.command:
        raise ClusterError("run needs a command after --")
    with saved(cluster):
        _describe(cluster)
        flags = shlex.join(cluster.beam_flags())
        environment = {**os.environ, "BEAM_ARGS": f"{flags} {os.environ.get('BEAM_ARGS', '')}".strip()}
        status = _run_command(arguments.command, environment)
    print("cluster stopped", flush=True)
    return status


def _run_command(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a command that gets Ctrl-C itself; the cluster stays until it ended."""
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as error:
        raise ClusterError(f"cannot run {command[0]}: {error.strerror}") from error
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _describe(cluster: LocalCluster) -> None:
    overview = cluster.rest("/overview")
    print(f"dashboard   {cluster.dashboard}")
    print(f"Flink       {overview.get('flink-version', 'does not answer')}")
    print(f"slots       {overview.get('slots-available', 0)} free of {overview.get('slots-total', 0)}")
    print(f"worker pool {_HOST}:{cluster.pool_port}")
    for name, pid in cluster.pids.items():
        print(f"{name:<16}{'runs' if _runs(pid) else 'ended'}, process {pid}")
    print(f"export BEAM_ARGS='{shlex.join(cluster.beam_flags())}'", flush=True)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((_HOST, port), timeout=1):
        return True
    return False


def _started(pid: int) -> float:
    """When a process began, in seconds since the epoch; 0 where there is none of that id."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def _runs(pid: int) -> bool:
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


if __name__ == "__main__":
    sys.exit(main())
