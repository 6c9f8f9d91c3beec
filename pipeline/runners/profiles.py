"""The named sets of Beam options, and how the user's own flags change them."""

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.errors import RunnerError

PROFILES: Final[Mapping[str, str]] = {
    "local": "worker processes on this machine (Beam's FnApiRunner)",
    "flink": "an Apache Flink cluster with worker pools beside its TaskManagers, by Beam's official runner",
    "dataflow": "Google Cloud Dataflow; needs the extra dataflow, --project, --region and --temp_location",
    "spark": "an Apache Spark cluster with worker pools beside its executors",
}
"""Names that `pipeline_options` knows, each with a line for the help text."""

_POOL: Final = "--environment_config=127.0.0.1:50000"


def pipeline_options(profile: str, extra: Sequence[str], workers: int | None) -> list[str]:
    """Merges the flags of a profile, of the variable BEAM_ARGS and of the user; the last flag of a name wins.

    A `--runner` in BEAM_ARGS or in the user's flags replaces the whole profile.

    Args:
        profile: One of `PROFILES`.
        extra: The user's Beam flags, e.g. `["--parallelism=8"]`.
        workers: Worker processes on this machine, or parallel workers of a cluster. None: one per core of this machine, or
            one per free slot of the cluster.

    Returns:
        Flags for `apache_beam.options.pipeline_options.PipelineOptions`.

    Raises:
        RunnerError: The profile does not exist, or BEAM_ARGS is not a valid command line.
    """
    if profile not in PROFILES:
        raise RunnerError(f"no runner profile {profile!r}; there are: {', '.join(PROFILES)}")
    try:
        own = [*shlex.split(os.environ.get("BEAM_ARGS", "")), *extra]
    except ValueError as error:
        raise RunnerError(f"the variable BEAM_ARGS cannot be read as a command line: {error}") from error
    if any(flag == "--runner" or flag.startswith("--runner=") for flag in own):
        return own
    flags = [*_profile_flags(profile, workers), *own]
    kinds = [flag.partition("=")[2] for flag in flags if flag.startswith("--environment_type=")]
    if kinds and kinds[-1] != "EXTERNAL":
        # Other environment types would take the address of a worker pool for the name of an image.
        flags = [flag for flag in flags if flag != _POOL or flag in own]
    return flags


def _profile_flags(profile: str, workers: int | None) -> list[str]:
    if profile == "local":
        return [
            "--runner=FnApiRunner",
            "--direct_running_mode=multi_processing",
            f"--direct_num_workers={workers or len(os.sched_getaffinity(0))}",
            "--default_sdk_harness_log_level=ERROR",
        ]
    if profile == "flink":
        from pipeline.runners.flink.job_server import PROFILE

        parallelism = [f"--parallelism={workers}"] if workers else []
        return [
            "--runner=FlinkRunner",
            "--flink_master=127.0.0.1:8081",
            "--flink_version=2.2",
            "--flink_submit_uber_jar",
            "--environment_type=EXTERNAL",
            _POOL,
            *PROFILE,
            *parallelism,
        ]
    if profile == "spark":
        return [
            "--runner=SparkRunner",
            "--spark_master_url=spark://127.0.0.1:7077",
            "--environment_type=EXTERNAL",
            _POOL,
            # Beside each executor; 0: one for each of its cores.
            f"--sdk_worker_parallelism={workers or 0}",
        ]
    most_workers = [f"--max_num_workers={workers}"] if workers else []
    return ["--runner=DataflowRunner", "--no_save_main_session", *most_workers]
