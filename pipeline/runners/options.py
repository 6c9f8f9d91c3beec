"""Beam options: what they say of the runner, and the checks that need no more than the options and the cluster.

A runner decides where the work is done, never what is computed. Runners that are known to lose data are refused.
"""

import argparse
import contextlib
import io
import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pipeline.errors import RunnerError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_LOCAL_RUNNER: Final = "fnapirunner"
_DOWNLOADS_PRISM: Final = "it downloads Prism if it can and uses another runner if it cannot"
_REFUSED: Final[Mapping[str, str]] = {
    "daskrunner": "Beam 2.77's DaskRunner drops elements without an error",
    "directrunner": _DOWNLOADS_PRISM,
    "switchingdirectrunner": _DOWNLOADS_PRISM,
    "kafkastreamsrunner": "it is experimental and part of no Beam release",
}
_WITHOUT_LOCATION: Final = "it downloads a binary when the job starts; name one with --prism_location=PATH"
_PREFLIGHT_TASKS: Final = 4

_log = logging.getLogger(__name__)


def job_name(flags: Sequence[str], default: str) -> str:
    """A unique job name: `--job_name` or the default, with a random suffix."""
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    given = parse_options(flags).view_as(GoogleCloudOptions).job_name
    return f"{given or default}-{secrets.token_hex(6)}"


def prepare(flags: Sequence[str], output: str) -> list[str]:
    """Checks, before any work, that a job can run with these flags, and completes them with what the cluster reports.

    Args:
        flags: Beam flags, as `pipeline_options` gives them.
        output: Where the job writes: a local folder, or `s3://…` or `gs://…`.

    Returns:
        The flags. For Flink, missing ones are added: the jar of Beam's runner, and what makes the job use every free slot of the
        cluster, with one worker each.

    Raises:
        RunnerError: The runner is refused, or the job would fail or lose data on it; says what to do.
    """
    from apache_beam.options.pipeline_options import PrismRunnerOptions

    options = parse_options(flags)
    name = runner_name(flags)
    kind = _kind(flags)
    reason = _REFUSED.get(kind)
    if kind == "prismrunner" and not options.view_as(PrismRunnerOptions).prism_location:
        reason = _WITHOUT_LOCATION
    if reason is not None:
        raise RunnerError(f"{name} is refused: {reason}. Use --on local, or --on flink with a cluster")
    for flag in _unknown(flags):
        _log.warning("Beam's Python side does not know the option %s; is it misspelt?", flag)
    if is_local(flags):
        return list(flags)
    if is_flink(flags):
        from pipeline.runners.flink.preflight import check_cluster, complete_flags

        check_cluster(options)
        return complete_flags(flags)
    if is_dataflow(flags):
        _check_dataflow(options, output)
    else:
        from pipeline.runners.environment import check_environment

        check_environment(options, runner_is_here=_runs_here(flags))
    return list(flags)


def describe_runner(flags: Sequence[str]) -> str | None:
    """Which runner does the work, for the terminal; None on this machine.

    Args:
        flags: Beam flags, as `prepare` gives them.
    """
    from apache_beam.options.pipeline_options import FlinkRunnerOptions, PortableOptions

    if is_local(flags):
        return None
    options = parse_options(flags)
    flink = options.view_as(FlinkRunnerOptions)
    if is_flink(flags) and flink.flink_job_server_jar:
        return f"{runner_name(flags)} on {flink.flink_master}, from {flink.flink_job_server_jar}"
    endpoint = options.view_as(PortableOptions).job_endpoint
    return f"{runner_name(flags)} at {endpoint}" if endpoint else runner_name(flags)


def parse_options(flags: Sequence[str]) -> "PipelineOptions":
    """Parses flags.

    Raises:
        RunnerError: Beam does not accept the value of a flag.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    import pipeline.runners.flink.java_options  # noqa: F401 - defines options

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
    return _kind(flags) == "flinkrunner"


def is_dataflow(flags: Sequence[str]) -> bool:
    """Whether the work is done by Google Cloud Dataflow."""
    return _kind(flags) == "dataflowrunner"


def preflight_tasks(flags: Sequence[str]) -> int:
    """Into how many tasks the preflight of a runner's workers is cut; 0: there is none.

    On this machine the workers are what the command is. Dataflow's start in minutes, and only for the job itself; as on every
    runner, each of them compares its versions with the command's. Flink's tasks are as many as its workers; of other runners
    their number is not known.
    """
    from apache_beam.options.pipeline_options import FlinkRunnerOptions, PortableOptions

    if is_local(flags) or is_dataflow(flags):
        return 0
    options = parse_options(flags)
    if is_flink(flags):
        return max(1, int(options.view_as(FlinkRunnerOptions).parallelism))
    return max(_PREFLIGHT_TASKS, int(options.view_as(PortableOptions).sdk_worker_parallelism))


def _kind(flags: Sequence[str]) -> str:
    """The runner's class in lower case, such as "flinkrunner", however the flags name it."""
    kind = runner_name(flags).lower().rpartition(".")[2]
    return kind if kind.endswith("runner") else f"{kind}runner"


def _runs_here(flags: Sequence[str]) -> bool:
    """Whether a portable runner starts its workers from this machine: Prism does, as a program of its own or at an endpoint."""
    from apache_beam.options.pipeline_options import PortableOptions

    from pipeline.runners.environment import is_here

    endpoint = parse_options(flags).view_as(PortableOptions).job_endpoint
    return is_here(endpoint.rpartition(":")[0]) if endpoint else _kind(flags) == "prismrunner"


def _check_dataflow(options: "PipelineOptions", output: str) -> None:
    """Checks the options as Beam does when the job is sent."""
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    if "://" not in output:
        raise RunnerError(
            f"Dataflow's workers cannot see the folder {output}; give an address such as s3://bucket/prefix"
        )
    problems = PipelineOptionsValidator(options, DataflowRunner()).validate()
    if problems:
        raise RunnerError(f"Dataflow does not take these options: {'; '.join(problems)}")


def _unknown(flags: Sequence[str]) -> list[str]:
    """Flags that no option class defines; a runner written in Java may know them."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    return [flag for flag in parser.parse_known_args(list(flags))[1] if flag.startswith("-")]
