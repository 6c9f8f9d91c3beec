"""Where the features job runs: named sets of Beam options, checks before a job starts, and the run itself.

A runner decides where the work is done, never what is computed. Runners that are known to lose data are refused, and what
would fail late on a cluster (no slots, another version, storage that the workers cannot see) is found early and explained.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import re
import secrets
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import errors
from pipeline.errors import BonafideError, RunnerError
from pipeline.runners.local import watch_workers

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.runners.counters import Counts

PROFILES: Mapping[str, str] = {
    "local": "worker processes on this machine (Beam's FnApiRunner)",
    "flink": "an Apache Flink cluster with worker pools beside its TaskManagers",
    "dataflow": "Google Cloud Dataflow; needs apache-beam[gcp], --project, --region and --temp_location",
    "spark": "an Apache Spark cluster with worker pools beside its executors",
}
"""Names that `pipeline_options` knows, each with a line for the help text."""

_LOCAL_RUNNER = "fnapirunner"

_REFUSED: Mapping[str, str] = {
    "daskrunner": "Beam 2.77's DaskRunner drops elements without an error",
    "directrunner": "it downloads Prism and uses that where it can, another runner where it cannot",
    "switchingdirectrunner": "it downloads Prism and uses that where it can, another runner where it cannot",
    "prismrunner": "it needs a binary that is downloaded when the job starts",
    "kafkastreamsrunner": "it is experimental and part of no Beam release",
}

_POOL = "--environment_config=127.0.0.1:50000"

TRIAL_S = 120.0
"""What the workers of a cluster get to start and to answer before a job."""

_log = logging.getLogger(__name__)


def pipeline_options(profile: str, extra: Sequence[str], cores: int | None) -> list[str]:
    """Merges a profile's flags, those of the variable BEAM_ARGS, and the user's; the last one of a name wins.

    A `--runner` from BEAM_ARGS or the user replaces the profile as a whole.

    Args:
        profile: One of `PROFILES`.
        extra: The user's Beam flags, e.g. `["--parallelism=8"]`.
        cores: Workers on this machine, or parallel workers on a cluster; None leaves it to the profile: every core of this
            machine, or every free slot of the cluster.

    Returns:
        Flags for `beam.options.pipeline_options.PipelineOptions`.

    Raises:
        RunnerError: No such profile, or BEAM_ARGS cannot be split as a shell would.
    """
    if profile not in PROFILES:
        raise RunnerError(f"no runner profile {profile!r}; there are: {', '.join(PROFILES)}")
    try:
        own = [*shlex.split(os.environ.get("BEAM_ARGS", "")), *extra]
    except ValueError as error:
        raise RunnerError(f"the variable BEAM_ARGS cannot be read as a command line: {error}") from error
    if any(flag == "--runner" or flag.startswith("--runner=") for flag in own):
        return own
    flags = [*_profile_flags(profile, cores), *own]
    kinds = [flag.partition("=")[2] for flag in flags if flag.startswith("--environment_type=")]
    if kinds and kinds[-1] != "EXTERNAL":
        # The address of a pool would be taken for the name of an image.
        flags = [flag for flag in flags if flag != _POOL or flag in own]
    return flags


def job_name(flags: Sequence[str]) -> str:
    """A name that no other job has, beginning as `--job_name` says."""
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    given = _options(flags).view_as(GoogleCloudOptions).job_name
    return f"{given or 'bonafide-features'}-{secrets.token_hex(6)}"


def prepare(flags: Sequence[str], output: str) -> list[str]:
    """Finds, before any work, what would make a job on this runner fail or lose data, and fills in what a cluster tells.

    Args:
        flags: Beam flags, as `pipeline_options` gives them.
        output: Where the job writes: a local folder or `s3://bucket/prefix`.

    Returns:
        The flags; on a Flink cluster all free slots are used, each by a worker of its own, where the flags don't say.

    Raises:
        RunnerError: Says what is wrong and what to do.
    """
    name = _runner_name(flags)
    reason = _REFUSED.get(name.lower().rpartition(".")[2])
    if reason is not None:
        raise RunnerError(f"{name} is refused: {reason}. Use --on local, or --on flink with a cluster")
    if name.lower() in ("dataflowrunner", "dataflow") and "://" not in output:
        raise RunnerError(
            f"Dataflow's workers cannot see the folder {output}; give an address such as s3://bucket/prefix"
        )
    for flag in _unknown(flags):
        _log.warning("Beam's Python side does not know the option %s; is it misspelt?", flag)
    if _is_flink(flags):
        from pipeline.runners.flink.preflight import check_flink, fill_in

        check_flink(_options(flags))
        return fill_in(flags)
    return list(flags)


def cancel_forsaken(flags: Sequence[str], job_name: str) -> bool:
    """Cancels the job of this name on a Flink cluster, or its probe: for a caller who knows that nobody waits for it.

    Returns:
        Whether it was still running.

    Raises:
        RunnerError: The cluster does not answer.
    """
    if not _is_flink(flags):
        return False
    from pipeline.runners.flink.preflight import cluster_of

    cluster = cluster_of(_options(flags))
    if cluster is None:
        return False
    forsaken = cluster.running_jobs(job_name)
    for job in forsaken:
        _log.warning("cancelling the job %s: it writes to this store, but the command that started it is gone", job)
        cluster.cancel(job)
    return bool(forsaken)


def cluster_tasks(flags: Sequence[str]) -> int:
    """How many workers of a Flink cluster a job uses at once, at least; 0 where the work is not done on one."""
    from apache_beam.options.pipeline_options import FlinkRunnerOptions

    if not _is_flink(flags):
        return 0
    return max(1, int(_options(flags).view_as(FlinkRunnerOptions).parallelism))


def run(
    build: Callable[["beam.Pipeline"], None],
    flags: Sequence[str],
    in_flight: Callable[[], list[str]],
    on_counts: Callable[["Counts"], None] = lambda counts: None,
) -> None:
    """Runs a pipeline to its end.

    Args:
        build: Applies the transforms to the pipeline it is given.
        flags: Beam flags, as `pipeline_options` gives them.
        in_flight: Names the work that is under way, for the message when a worker dies.
        on_counts: Gets what the workers counted: at the end, and on Flink about twice a second before.

    Raises:
        RunnerError: The runner cannot run the job, or lost a worker.
    """
    from pipeline.runners.counters import read_counts

    runner = _runner(flags, lambda found: on_counts(read_counts(found)))
    if _runner_name(flags).lower() == _LOCAL_RUNNER:
        with watch_workers(in_flight), _options_for_local_workers(flags), _worker_log():
            result = _to_end(build, flags, runner)
    else:
        with _own_temporary_folder():
            result = _to_end(build, flags, runner)
    on_counts(read_counts(result.metrics()))


def try_out(build: Callable[["beam.Pipeline"], None], flags: Sequence[str]) -> None:
    """Runs a small pipeline on a cluster to find out whether a real one could run there.

    Its first failure ends it on Flink, whatever the cluster's restart strategy, and so does `TRIAL_S`.

    Raises:
        RunnerError: It failed, or took too long.
    """
    with _own_temporary_folder():
        _to_end(build, flags, _runner(flags, lambda found: None, TRIAL_S))


@contextlib.contextmanager
def interruptible(flags: Sequence[str]) -> Iterator[None]:
    """Takes SIGTERM for a Ctrl-C while a job is on a cluster: who stops the command, as Kubernetes does, means the job too."""
    if _runner_name(flags).lower() == _LOCAL_RUNNER or threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


def _runner(flags: Sequence[str], on_metrics: Callable[[Any], None], trial_s: float | None = None) -> Any:
    """The runner itself where Beam's needs mending; None leaves it to Beam."""
    if not _is_flink(flags):
        return None
    from pipeline.runners.flink.runner import MendedFlinkRunner

    return MendedFlinkRunner(on_metrics, trial_s)


@contextlib.contextmanager
def _own_temporary_folder() -> Iterator[None]:
    """Beam's clients of clusters leave their jars and folders behind: here they go with the folder."""
    old = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="bonafide-") as tempfile.tempdir:
        try:
            yield
        finally:
            tempfile.tempdir = old


@contextlib.contextmanager
def _options_for_local_workers(flags: Sequence[str]) -> Iterator[None]:
    """Hands the options to the worker processes, which Beam's local runner forgets: log level, file system options."""
    with tempfile.NamedTemporaryFile("w", prefix="bonafide-", suffix=".json") as file:
        json.dump(_options(flags).get_all_options(drop_default=True), file, default=str)
        file.flush()
        os.environ["PIPELINE_OPTIONS_FILE"] = file.name
        try:
            yield
        finally:
            del os.environ["PIPELINE_OPTIONS_FILE"]


@contextlib.contextmanager
def _worker_log() -> Iterator[None]:
    """Sends what local workers print while they start and stop to a file instead of into the progress bar.

    The file is removed after a good run; after a bad one its path is printed, since it may hold what no error tells, such as
    the last words of a native library.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    handle, name = tempfile.mkstemp(prefix="bonafide-workers-", suffix=".log")
    own_stream = sys.stderr
    try:
        # Workers inherit descriptor 2; this process goes on printing to the terminal through the copy.
        with open(terminal, "w", buffering=1, closefd=False) as sys.stderr:
            os.dup2(handle, 2)
            yield
    except BaseException:
        os.write(terminal, f"what the workers printed is in {name}\n".encode())
        raise
    else:
        Path(name).unlink()
    finally:
        sys.stderr = own_stream
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(handle)


def _to_end(build: Callable[["beam.Pipeline"], None], flags: Sequence[str], runner: Any) -> Any:
    import apache_beam as beam

    try:
        pipeline = beam.Pipeline(runner=runner, options=_options(flags))
        build(pipeline)
        result = pipeline.run()
        try:
            result.wait_until_finish()
        except BaseException:
            # Whatever ends the command must not leave a job behind that nobody waits for.
            try:
                result.cancel()
            except Exception as error:
                _log.warning("the job could not be cancelled and may go on: %s", error)
            raise
        return result
    except Exception as error:  # Beam wraps whatever happened in a worker
        raise _explained(error) from error


def _explained(error: Exception) -> BonafideError:
    """Finds the error meant for people in what Beam made of it: the error itself, or a worker's traceback as text."""
    text = re.sub(r" \[while running '.*?'\]", "", str(error)).strip()
    if isinstance(error, BonafideError):
        return type(error)(text)
    for found in re.finditer(r"^pipeline\.errors\.(\w+): (.+)$", text, re.MULTILINE):
        kind = getattr(errors, found[1], None)
        if isinstance(kind, type) and issubclass(kind, BonafideError) and kind is not errors.AudioError:
            return kind(found[2])
    if "Unable to fetch remote job server jar" in text:
        return RunnerError(
            "Beam's job server jar cannot be fetched. For Flink, `make flink-cache` builds the project's own runner, which a "
            "checkout then uses; or name a jar with --flink_job_server_jar or --spark_job_server_jar"
        )
    missing = re.search(r"^(?:ModuleNotFoundError|ImportError): (.+)$", text, re.MULTILINE)
    if missing is not None:
        return RunnerError(
            f"package missing on the workers: {missing[1]}. Install this project's wheel and its locked dependencies where "
            "the worker pools run"
        )
    last = text.rpartition("\n")[2]
    return RunnerError(
        f"the job failed: {last if isinstance(error, RuntimeError) else f'{type(error).__name__}: {last}'}"
    )


def _profile_flags(profile: str, cores: int | None) -> list[str]:
    if profile == "local":
        workers = cores or len(os.sched_getaffinity(0))
        return [
            "--runner=FnApiRunner",
            "--direct_running_mode=multi_processing",
            f"--direct_num_workers={workers}",
            "--default_sdk_harness_log_level=ERROR",
        ]
    if profile == "flink":
        parallelism = [f"--parallelism={cores}"] if cores else []
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
    workers_flag = [f"--max_num_workers={cores}"] if cores else []
    return ["--runner=DataflowRunner", "--save_main_session=false", *workers_flag]


def _options(flags: Sequence[str]) -> "PipelineOptions":
    """Parses flags.

    Raises:
        RunnerError: One has a value that Beam does not take.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = PipelineOptions(list(flags))
            options.get_all_options()  # looks at the values
    except SystemExit:
        raise RunnerError(
            f"Beam does not take these options: {said.getvalue().strip().rpartition('error: ')[2]}"
        ) from None
    return options


def _unknown(flags: Sequence[str]) -> list[str]:
    """Flags that no option class of Beam has; a runner written in Java may know them."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    return [flag for flag in parser.parse_known_args(list(flags))[1] if flag.startswith("-")]


def _runner_name(flags: Sequence[str]) -> str:
    from apache_beam.options.pipeline_options import StandardOptions

    return str(_options(flags).view_as(StandardOptions).runner or "DirectRunner")


def _is_flink(flags: Sequence[str]) -> bool:
    return _runner_name(flags).lower().rpartition(".")[2] in ("flinkrunner", "flink")
