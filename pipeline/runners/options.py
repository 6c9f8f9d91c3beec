"""Beam options: the named profiles, the user's own flags, and the checks that need no more than the options and the cluster.

A runner decides where the work is done, never what is computed. Runners that are known to lose data are refused.
"""

import argparse
import contextlib
import io
import logging
import os
import secrets
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pipeline.errors import RunnerError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

PROFILES: Final[Mapping[str, str]] = {
    "local": "worker processes on this machine (Beam's FnApiRunner)",
    "flink": "an Apache Flink cluster with worker pools beside its TaskManagers",
    "dataflow": "Google Cloud Dataflow; needs apache-beam[gcp], --project, --region and --temp_location",
    "spark": "an Apache Spark cluster with worker pools beside its executors",
}
"""Names that `pipeline_options` knows, each with a line for the help text."""

_LOCAL_RUNNER: Final = "fnapirunner"
_DOWNLOADS_PRISM: Final = "it downloads Prism if it can and uses another runner if it cannot"
_REFUSED: Final[Mapping[str, str]] = {
    "daskrunner": "Beam 2.77's DaskRunner drops elements without an error",
    "directrunner": _DOWNLOADS_PRISM,
    "switchingdirectrunner": _DOWNLOADS_PRISM,
    "prismrunner": "it needs a binary that is downloaded when the job starts",
    "kafkastreamsrunner": "it is experimental and part of no Beam release",
}
_POOL: Final = "--environment_config=127.0.0.1:50000"

_log = logging.getLogger(__name__)


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


def job_name(flags: Sequence[str], default: str) -> str:
    """A unique job name: `--job_name` or the default, with a random suffix."""
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    given = parse_options(flags).view_as(GoogleCloudOptions).job_name
    return f"{given or default}-{secrets.token_hex(6)}"


def prepare(flags: Sequence[str], output: str) -> list[str]:
    """Checks, before any work, that a job can run with these flags, and completes them with what the cluster reports.

    Args:
        flags: Beam flags, as `pipeline_options` gives them.
        output: Where the job writes: a local folder or `s3://bucket/prefix`.

    Returns:
        The flags. For a Flink cluster, missing ones are added so that the job uses every free slot, with one worker each.

    Raises:
        RunnerError: The runner is refused, or the job would fail or lose data on it; says what to do.
    """
    name = runner_name(flags)
    reason = _REFUSED.get(name.lower().rpartition(".")[2])
    if reason is not None:
        raise RunnerError(f"{name} is refused: {reason}. Use --on local, or --on flink with a cluster")
    if name.lower() in ("dataflowrunner", "dataflow") and "://" not in output:
        raise RunnerError(
            f"Dataflow's workers cannot see the folder {output}; give an address such as s3://bucket/prefix"
        )
    for flag in _unknown(flags):
        _log.warning("Beam's Python side does not know the option %s; is it misspelt?", flag)
    if is_flink(flags):
        from pipeline.runners.flink.preflight import check_cluster, complete_flags

        check_cluster(parse_options(flags))
        return complete_flags(flags)
    return list(flags)


def parse_options(flags: Sequence[str]) -> "PipelineOptions":
    """Parses flags.

    Raises:
        RunnerError: Beam does not accept the value of a flag.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            options = PipelineOptions(list(flags))
            options.get_all_options()  # parses the values
    except SystemExit:
        raise RunnerError(
            f"Beam does not take these options: {printed.getvalue().strip().rpartition('error: ')[2]}"
        ) from None
    return options


def runner_name(flags: Sequence[str]) -> str:
    """The runner's name as the flags write it, such as "FlinkRunner"."""
    from apache_beam.options.pipeline_options import StandardOptions

    return str(parse_options(flags).view_as(StandardOptions).runner or "DirectRunner")


def is_local(flags: Sequence[str]) -> bool:
    """Whether the work is done by processes of this machine."""
    return runner_name(flags).lower() == _LOCAL_RUNNER


def is_flink(flags: Sequence[str]) -> bool:
    """Whether the work is done by Apache Flink."""
    return runner_name(flags).lower().rpartition(".")[2] in ("flinkrunner", "flink")


def cluster_tasks(flags: Sequence[str]) -> int:
    """How many workers of a Flink cluster a job uses at once, at least 1; 0 where it does not run on Flink."""
    from apache_beam.options.pipeline_options import FlinkRunnerOptions

    if not is_flink(flags):
        return 0
    return max(1, int(parse_options(flags).view_as(FlinkRunnerOptions).parallelism))


def _profile_flags(profile: str, workers: int | None) -> list[str]:
    if profile == "local":
        return [
            "--runner=FnApiRunner",
            "--direct_running_mode=multi_processing",
            f"--direct_num_workers={workers or len(os.sched_getaffinity(0))}",
            "--default_sdk_harness_log_level=ERROR",
        ]
    if profile == "flink":
        parallelism = [f"--parallelism={workers}"] if workers else []
        return [
            "--runner=FlinkRunner",
            "--flink_master=127.0.0.1:8081",
            "--flink_version=2.2",
            "--flink_submit_uber_jar",
            "--environment_type=EXTERNAL",
            _POOL,
            *parallelism,
        ]
    if profile == "spark":
        return [
            "--runner=SparkRunner",
            "--spark_master_url=spark://127.0.0.1:7077",
            "--environment_type=EXTERNAL",
            _POOL,
        ]
    most_workers = [f"--max_num_workers={workers}"] if workers else []
    return ["--runner=DataflowRunner", "--save_main_session=false", *most_workers]


def _unknown(flags: Sequence[str]) -> list[str]:
    """Flags that no option class of Beam defines; a runner written in Java may know them."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    return [flag for flag in parser.parse_known_args(list(flags))[1] if flag.startswith("-")]
