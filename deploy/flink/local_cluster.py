"""Starts, describes and stops a real Apache Flink cluster on this machine, or runs one command on it.

Needs Java 17 and the files of `make flink-cache`. Logs are in `.cache/flink/cluster/log`.

    python deploy/flink/local_cluster.py start
    python deploy/flink/local_cluster.py status
    python deploy/flink/local_cluster.py stop
    python deploy/flink/local_cluster.py run -- bonafide features --on flink

Jobs use Beam's official runner, whose jar Beam downloads, unless they name another with `--flink_job_server_jar`.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from cluster import STATE, ClusterError, LocalCluster, is_running, saved


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.epilog = "After --, for run: the command, which gets BEAM_ARGS set to reach the cluster."
    parser.add_argument("action", choices=["start", "stop", "status", "run"])
    parser.add_argument("--task-managers", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--slots", type=int, default=1, help="slots of each TaskManager (default: %(default)s)")
    # By hand: argparse takes no options between `run` and a command that has options too.
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    arguments = parser.parse_args(given[:end], argparse.Namespace(command=given[end + 1 :]))
    # SIGTERM raises SystemExit, so that the cluster is stopped too.
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
        return 0 if all(is_running(pid) for pid in cluster.pids.values()) else 1
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
    """Runs a command. Ctrl-C goes to the command; the cluster runs until the command has ended."""
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
    for name, pid in cluster.pids.items():
        print(f"{name:<16}{'runs' if is_running(pid) else 'ended'}, process {pid}")
    print(f"export BEAM_ARGS='{shlex.join(cluster.beam_flags())}'", flush=True)


if __name__ == "__main__":
    sys.exit(main())
