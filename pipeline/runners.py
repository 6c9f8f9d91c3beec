"""Where the features job runs: named sets of Beam options, checks before a job starts, and the run itself.

A runner decides where the work is done, never what is computed. Runners that are known to lose data are refused, and what
would fail late on a cluster (no slots, another version, storage that the workers cannot see) is found early and explained.
"""

import contextlib
import json
import os
import re
import shlex
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import errors
from pipeline.errors import BonafideError, RunnerError
from pipeline.worker_watch import watch_workers

if TYPE_CHECKING:
    import apache_beam as beam

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

_FLINK_MAGIC = ("[auto]", "[local]")
_TIMEOUT_S = 5.0


def pipeline_options(profile: str, extra: Sequence[str], cores: int | None) -> list[str]:
    """Merges a profile's flags, those of the variable BEAM_ARGS, and the user's; the last one of a name wins.

    A `--runner` from BEAM_ARGS or the user replaces the profile as a whole.

    Args:
        profile: One of `PROFILES`.
        extra: The user's Beam flags, e.g. `["--parallelism=8"]`.
        cores: Workers on this machine, or parallel workers on a cluster; None leaves it to the profile: every core of this
            machine, or the cluster's default.

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
    return [*_profile_flags(profile, cores), *own]


def check(flags: Sequence[str], output: str) -> None:
    """Finds, before any work, what would make a job on this runner fail or lose data.

    Args:
        flags: Beam flags, as `pipeline_options` gives them.
        output: Where the job writes: a local folder or `s3://bucket/prefix`.

    Raises:
        RunnerError: Says what is wrong and what to do.
    """
    name = _runner_name(flags)
    reason = _REFUSED.get(name.lower().rpartition(".")[2])
    if reason is not None:
        raise RunnerError(f"{name} is refused: {reason}. Use --on local, or --on flink with a cluster")
    if _is_flink(flags):
        _check_flink(flags)
    if name.lower() in ("dataflowrunner", "dataflow") and "://" not in output:
        raise RunnerError(
            f"Dataflow's workers cannot see the folder {output}; give an address such as s3://bucket/prefix"
        )


def cluster_tasks(flags: Sequence[str]) -> int:
    """How many workers of a Flink cluster a job uses at once, at least; 0 where the work is not done on one."""
    from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions

    if not _is_flink(flags):
        return 0
    return max(1, int(PipelineOptions(list(flags)).view_as(FlinkRunnerOptions).parallelism))


def run(build: Callable[["beam.Pipeline"], None], flags: Sequence[str], in_flight: Callable[[], list[str]]) -> None:
    """Runs a pipeline to its end.

    Args:
        build: Applies the transforms to the pipeline it is given.
        flags: Beam flags, as `pipeline_options` gives them.
        in_flight: Names the work that is under way, for the message when a worker dies.

    Raises:
        RunnerError: The runner cannot run the job, or lost a worker.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions(list(flags))
    pipeline = beam.Pipeline(runner=_mended_runner(flags), options=options)
    build(pipeline)
    if _runner_name(flags).lower() == _LOCAL_RUNNER:
        with watch_workers(in_flight), _options_for_local_workers(pipeline), _worker_log():
            _to_end(pipeline)
    else:
        _to_end(pipeline)


def _mended_runner(flags: Sequence[str]) -> Any:
    """The runner itself where Beam's needs mending; None leaves it to Beam."""
    if not _is_flink(flags):
        return None
    from pipeline.flink import MendedFlinkRunner

    return MendedFlinkRunner()


@contextlib.contextmanager
def _options_for_local_workers(pipeline: "beam.Pipeline") -> Iterator[None]:
    """Hands the options to the worker processes, which Beam's local runner forgets: log level, file system options."""
    with tempfile.NamedTemporaryFile("w", prefix="bonafide-", suffix=".json") as file:
        json.dump(pipeline.options.get_all_options(drop_default=True), file, default=str)
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


def _to_end(pipeline: "beam.Pipeline") -> None:
    try:
        result = pipeline.run()
        try:
            result.wait_until_finish()
        except KeyboardInterrupt:
            result.cancel()
            raise
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
            "--environment_config=127.0.0.1:50000",
            *parallelism,
        ]
    if profile == "spark":
        return [
            "--runner=SparkRunner",
            "--spark_master_url=spark://127.0.0.1:7077",
            "--environment_type=EXTERNAL",
            "--environment_config=127.0.0.1:50000",
        ]
    workers_flag = [f"--max_num_workers={cores}"] if cores else []
    return ["--runner=DataflowRunner", "--save_main_session=false", *workers_flag]


def _runner_name(flags: Sequence[str]) -> str:
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    return str(PipelineOptions(list(flags)).view_as(StandardOptions).runner or "DirectRunner")


def _is_flink(flags: Sequence[str]) -> bool:
    return _runner_name(flags).lower().rpartition(".")[2] in ("flinkrunner", "flink")


def _check_flink(flags: Sequence[str]) -> None:
    from apache_beam.options import pipeline_options as beam_options

    options = beam_options.PipelineOptions(list(flags))
    flink = options.view_as(beam_options.FlinkRunnerOptions)
    portable = options.view_as(beam_options.PortableOptions)
    if flink.flink_master in _FLINK_MAGIC:
        return
    if portable.environment_type is None:
        raise RunnerError(
            "no --environment_type: with a cluster Beam would start Docker containers. Give --environment_type=EXTERNAL and "
            "--environment_config=HOST:PORT of the worker pools, or --environment_type=DOCKER if that is what you want"
        )
    if portable.environment_type == "EXTERNAL":
        _check_pool(portable.environment_config, _is_here(flink.flink_master.rpartition("://")[2].rpartition(":")[0]))
    master = flink.flink_master if "://" in flink.flink_master else f"http://{flink.flink_master}"
    overview = _rest(master, "/overview")
    if not isinstance(overview.get("flink-version"), str):
        raise RunnerError(f"{master} is no Flink cluster: its /overview names no version")
    _check_version(overview["flink-version"], flink.flink_version, flink.flink_job_server_jar)
    _check_slots(master, overview, flink.parallelism)


def _is_here(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "[::1]")


def _check_pool(address: str | None, cluster_is_here: bool) -> None:
    """Needs an address; whether anyone listens can be told from here only if it is this machine's.

    Beside the TaskManagers of a cluster elsewhere, `localhost` means their machines.
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
            "python -m apache_beam.runners.worker.worker_pool_main --service_port=PORT"
        ) from error


def _check_version(cluster: str, wanted: str, jar: str | None) -> None:
    minor = ".".join(cluster.split(".")[:2])
    if minor != wanted:
        raise RunnerError(f"the cluster runs Flink {cluster}, the job asks for {wanted}: give --flink_version={minor}")
    if jar is None:
        return
    if "://" not in jar and not Path(jar).is_file():
        raise RunnerError(f"there is no job server jar at {jar}; see deploy/flink/README.md for how to fetch it")
    named = re.search(r"flink-(\d+\.\d+)-(?:job-server|runner)", Path(jar).name)
    if named is not None and named[1] != minor:
        raise RunnerError(
            f"{Path(jar).name} is for Flink {named[1]}, but the cluster runs {cluster}: fetch the jar for {minor}"
        )


def _check_slots(master: str, overview: Mapping[str, Any], parallelism: int) -> None:
    total, free = overview["slots-total"], overview["slots-available"]
    if total == 0:
        raise RunnerError(f"the cluster at {master} has no TaskManagers, so no slots; start some")
    if free < max(1, parallelism):
        raise RunnerError(
            f"the cluster at {master} has {free} free of {total} slots, the job needs {max(1, parallelism)}; "
            "wait for or cancel other jobs, add TaskManagers, or give a smaller --parallelism"
        )


def _rest(master: str, path: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(master.rstrip("/") + path, timeout=_TIMEOUT_S) as answer:
            content = json.load(answer)
    except (OSError, urllib.error.URLError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise RunnerError(
            f"no Flink cluster answers at {master} ({reason}); check --flink_master and that it runs"
        ) from error
    if not isinstance(content, dict):
        raise RunnerError(f"{master} is no Flink cluster: {path} gives no JSON object")
    return content
