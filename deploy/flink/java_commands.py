"""Command lines of Flink's JobManager and TaskManager for a small cluster on one machine.

Memory sizes are explicit and small: about 2 GiB for a JobManager and two TaskManagers of one slot.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

HOST = "127.0.0.1"
POOL_NAME = "worker-pool"
"""Name under which every TaskManager finds its own worker pool, as `localhost` in a pod."""

# Internal packages of Java 17 that Flink accesses.
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
    # Detects a lost TaskManager within seconds; the defaults are for large clusters.
    "heartbeat.interval": "1000",
    "heartbeat.timeout": "8000",
    "slot.request.timeout": "30000",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
}


def job_manager_command(folder: Path, jars: Sequence[Path], rpc_port: int, rest_port: int) -> list[str]:
    """The command line of the JobManager.

    Args:
        folder: Of the cluster, with `conf`, `log` and `tmp` inside.
        jars: Flink's class path.
        rpc_port: Port for TaskManagers.
        rest_port: Port of the REST interface.
    """
    options = {
        **_COMMON,
        "jobmanager.rpc.address": HOST,
        "jobmanager.rpc.port": str(rpc_port),
        "jobmanager.bind-host": HOST,
        "rest.address": HOST,
        "rest.bind-address": HOST,
        "rest.bind-port": str(rest_port),
        "rest.port": str(rest_port),
        "web.tmpdir": str(folder / "tmp"),
        "jobmanager.memory.heap.size": "256m",
        "jobmanager.memory.off-heap.size": "64m",
        "jobmanager.memory.jvm-metaspace.size": "192m",
        "jobmanager.memory.jvm-overhead.min": "64m",
        "jobmanager.memory.jvm-overhead.max": "64m",
    }
    java = ["-Xms64m", "-Xmx256m", "-XX:MaxMetaspaceSize=192m"]
    main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    return _java_command("jobmanager", main, folder, jars, java, options)


def task_manager_command(
    name: str, folder: Path, jars: Sequence[Path], rpc_port: int, slots: int, pool_host: str
) -> list[str]:
    """The command line of a TaskManager.

    Args:
        name: Of the TaskManager, unique in the cluster.
        folder: Of the cluster, with `conf`, `log` and `tmp` inside.
        jars: Flink's class path.
        rpc_port: Port of the JobManager.
        slots: Task slots.
        pool_host: Address of its worker pool.
    """
    hosts = folder / "conf" / f"hosts-{name}"
    hosts.write_text(f"{HOST} localhost {socket.gethostname()}\n{pool_host} {POOL_NAME}\n")
    options = {
        **_COMMON,
        "jobmanager.rpc.address": HOST,
        "jobmanager.rpc.port": str(rpc_port),
        "taskmanager.host": HOST,
        "taskmanager.bind-host": HOST,
        "taskmanager.resource-id": name,
        "taskmanager.numberOfTaskSlots": str(slots),
        "taskmanager.cpu.cores": str(float(slots)),
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
    java.append(f"-Djdk.net.hosts.file={hosts}")
    return _java_command(name, "org.apache.flink.runtime.taskexecutor.TaskManagerRunner", folder, jars, java, options)


def write_configuration(folder: Path) -> None:
    """Writes the files that the processes read from `conf`: an empty configuration, and one for the log."""
    (folder / "conf" / "config.yaml").write_text("")
    (folder / "conf" / "log4j.properties").write_text(_LOG4J)


def _java_command(
    name: str, main: str, folder: Path, jars: Sequence[Path], java: Sequence[str], options: Mapping[str, str]
) -> list[str]:
    temporary = folder / "tmp" / name
    settings = {**options, "io.tmp.dirs": str(temporary), "env.java.opts.all": ""}
    return [
        "java",
        *java,
        "-XX:+UseSerialGC",
        # These processes run for minutes and compute little: the optimising compiler would cost more than it saves.
        "-XX:TieredStopAtLevel=1",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
        *(
            f"--add-exports={module}/{package}=ALL-UNNAMED"
            for module, packages in _EXPORTED.items()
            for package in packages
        ),
        f"-Djava.io.tmpdir={temporary}",
        f"-Dlog.file={folder / 'log' / f'{name}.log'}",
        f"-Dlog4j.configurationFile={folder / 'conf' / 'log4j.properties'}",
        "-cp",
        os.pathsep.join(map(str, jars)),
        main,
        "--configDir",
        str(folder / "conf"),
        *(f"-D{key}={value}" for key, value in settings.items() if value),
    ]
