"""Checks before a job goes to a Flink cluster: finds early, and explains, what would fail late or hang."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from apache_beam.options import pipeline_options as beam_options

from pipeline.errors import RunnerError
from pipeline.runners.environment import check_environment, is_here
from pipeline.runners.flink.job_server import job_server_jar
from pipeline.runners.flink.rest import FlinkCluster, Overview

_NO_CLUSTER = ("[auto]", "[local]")
"""Values of --flink_master for which Beam starts its own Flink."""


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
    host = cluster.url.rpartition("://")[2].rpartition(":")[0]
    check_environment(options, is_here(host))
    overview = cluster.overview()
    _check_version(overview.version, flink.flink_version, flink.flink_job_server_jar)
    _check_slots(cluster, overview, flink.parallelism)


def complete_flags(flags: Sequence[str]) -> list[str]:
    """Adds the flags that are missing: the runner's jar, every free slot, and one worker process for each.

    Given flags are kept. The jar is Beam's official one, which Beam downloads, unless `--flink_job_server_jar` names another.

    Raises:
        RunnerError: The cluster does not answer, or the jar cannot be fetched.
    """
    options = beam_options.PipelineOptions(list(flags))
    if options.view_as(beam_options.PortableOptions).job_endpoint:
        return list(flags)  # the job server that runs there has the jar
    added = [f"--flink_job_server_jar={job_server_jar(options)}"]
    cluster = find_cluster(options)
    if cluster is not None:
        given = {flag.partition("=")[0] for flag in flags}
        if "--parallelism" not in given:
            added.append(f"--parallelism={cluster.overview().slots_free}")
        if "--sdk_worker_parallelism" not in given:
            added.append(f"--sdk_worker_parallelism={cluster.most_slots()}")
    return [*flags, *added]


def _check_version(cluster: str, wanted: str, jar: str | None) -> None:
    minor = ".".join(cluster.split(".")[:2])
    if minor != wanted:
        raise RunnerError(f"the cluster runs Flink {cluster}, the job asks for {wanted}: give --flink_version={minor}")
    if jar is None:
        return
    if "://" not in jar and not (Path(jar).is_file() and zipfile.is_zipfile(jar)):
        raise RunnerError(f"there is no job server jar at {jar}; see deploy/flink/README.md for how to get it")
    named = re.search(r"flink-(\d+\.\d+)-", Path(jar).name)
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
