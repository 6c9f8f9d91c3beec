"""Checks before a job goes to a Flink cluster: finds early, and explains, what would fail late or hang."""

import re
import socket
import zipfile
from collections.abc import Sequence
from pathlib import Path

from apache_beam.options import pipeline_options as beam_options

from pipeline.errors import RunnerError
from pipeline.runners.flink.rest import FlinkCluster, Overview

_NO_CLUSTER = ("[auto]", "[local]")
"""Values of --flink_master for which Beam starts its own Flink."""
_TIMEOUT_S = 5.0
_RUNNERS = Path(__file__).resolve().parents[3] / ".cache" / "flink" / "runner"
"""Where `make flink-cache` puts the project's runner, in a checkout."""


def find_cluster(options: beam_options.PipelineOptions) -> FlinkCluster | None:
    """The cluster that a job goes to; None where Beam starts its own."""
    master = options.view_as(beam_options.FlinkRunnerOptions).flink_master
    return None if master in _NO_CLUSTER else FlinkCluster(master)


def check_cluster(options: beam_options.PipelineOptions) -> None:
    """Checks the options, the worker pool and the cluster, in this order.

    Raises:
        RunnerError: The environment type, the pool, the cluster, the jar or slots are missing, or a version differs; says what to
            do.
    """
    cluster = find_cluster(options)
    if cluster is None:
        return
    flink = options.view_as(beam_options.FlinkRunnerOptions)
    portable = options.view_as(beam_options.PortableOptions)
    if portable.environment_type is None:
        raise RunnerError(
            "no --environment_type: with a cluster Beam would start Docker containers. Give --environment_type=EXTERNAL and "
            "--environment_config=HOST:PORT of the worker pools, or --environment_type=DOCKER if containers are meant"
        )
    if portable.environment_type == "LOOPBACK":
        raise RunnerError(
            "--environment_type=LOOPBACK does all the work in this one process; give --environment_type=EXTERNAL, "
            "or use --on local"
        )
    if portable.environment_type == "EXTERNAL":
        host = cluster.url.rpartition("://")[2].rpartition(":")[0]
        _check_pool(portable.environment_config, _is_here(host))
    overview = cluster.overview()
    _check_version(overview.version, flink.flink_version, flink.flink_job_server_jar)
    _check_slots(cluster, overview, flink.parallelism)


def complete_flags(flags: Sequence[str]) -> list[str]:
    """Adds the flags that are missing: every free slot is used, with one worker process each, by the project's runner if built.

    Given flags are kept. If the project's runner is not built and no jar is given, Beam downloads its own.

    Raises:
        RunnerError: The cluster does not answer.
    """
    options = beam_options.PipelineOptions(list(flags))
    cluster = find_cluster(options)
    if cluster is None:
        return list(flags)
    given = {flag.partition("=")[0] for flag in flags}
    added = []
    jar = _RUNNERS / f"bonafide-flink-{options.view_as(beam_options.FlinkRunnerOptions).flink_version}-runner.jar"
    if "--flink_job_server_jar" not in given and jar.is_file():
        added.append(f"--flink_job_server_jar={jar}")
    if "--parallelism" not in given:
        added.append(f"--parallelism={cluster.overview().slots_free}")
    if "--sdk_worker_parallelism" not in given:
        added.append(f"--sdk_worker_parallelism={cluster.most_slots()}")
    return [*flags, *added]


def _is_here(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "[::1]")


def _check_pool(address: str | None, cluster_is_here: bool) -> None:
    """Checks the address of the worker pools, and that a pool listens if the cluster and the pool are on this machine.

    For a cluster elsewhere, `localhost` is each TaskManager's own machine, which cannot be reached from here.
    """
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit():
        raise RunnerError(
            f"--environment_type=EXTERNAL needs --environment_config=HOST:PORT of a worker pool, not {address!r}"
        )
    if not (cluster_is_here and _is_here(host)):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_TIMEOUT_S).close()
    except OSError as error:
        raise RunnerError(
            f"no worker pool listens at {address} ({error.strerror or error}); start one: "
            "python deploy/flink/worker_pool.py --port=PORT"
        ) from error


def _check_version(cluster: str, wanted: str, jar: str | None) -> None:
    minor = ".".join(cluster.split(".")[:2])
    if minor != wanted:
        raise RunnerError(f"the cluster runs Flink {cluster}, the job asks for {wanted}: give --flink_version={minor}")
    if jar is None:
        return
    if "://" not in jar and not (Path(jar).is_file() and zipfile.is_zipfile(jar)):
        raise RunnerError(f"there is no job server jar at {jar}; see deploy/flink/README.md for how to get it")
    named = re.search(r"flink-(\d+\.\d+)-(?:job-server|runner)", Path(jar).name)
    if named is not None and named[1] != minor:
        raise RunnerError(
            f"{Path(jar).name} is for Flink {named[1]}, but the cluster runs {cluster}: get the jar for {minor}"
        )


def _check_slots(cluster: FlinkCluster, overview: Overview, parallelism: int) -> None:
    total, free, needed = overview.slots_total, overview.slots_free, max(1, parallelism)
    if total == 0:
        raise RunnerError(f"the cluster at {cluster.url} has no TaskManagers, so no slots; start some")
    if free < needed:
        raise RunnerError(
            f"the cluster at {cluster.url} has {free} free of {total} slots, the job needs {needed}; "
            "wait for or cancel other jobs, add TaskManagers, or give a smaller --parallelism"
        )
