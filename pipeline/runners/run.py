"""Runs a Beam pipeline to its end, here or on a cluster, and turns whatever fails into an error that says what to do."""

import contextlib
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import errors
from pipeline.errors import BonafideError, RunnerError
from pipeline.files import temporary_folder
from pipeline.interrupts import patience
from pipeline.runners.local import local_run
from pipeline.runners.options import is_flink, is_local, parse_options, runner_name

if TYPE_CHECKING:
    import apache_beam as beam

PREFLIGHT_S = 120.0
"""Time limit of a preflight in seconds: the workers of a cluster have to start and to answer within it."""

_LEAVE_S = 5.0
"""Time for Beam's local runner to end, in seconds: about one on a quiet machine."""
_CANCEL_S = 60.0
"""Time for a cluster to cancel a job, in seconds."""

_log = logging.getLogger(__name__)


def run(
    build: Callable[["beam.Pipeline"], None],
    flags: Sequence[str],
    in_flight: Callable[[], list[str]],
    on_metrics: Callable[[Any], None] = lambda metrics: None,
) -> None:
    """Runs a pipeline to its end.

    Args:
        build: Applies the transforms to the pipeline that it is given.
        flags: Beam flags, as `pipeline_options` gives them.
        in_flight: Names the work under way, for the message when a worker dies.
        on_metrics: Takes `apache_beam.metrics.metric.MetricResults`: at the end, and on Flink also about twice a second
            during the run.

    Raises:
        RunnerError: The runner cannot run the job, or lost a worker.
        BonafideError: A worker raised it.
    """
    with _temporary_folder() as folder:
        if is_local(flags):
            with local_run(parse_options(flags), in_flight, folder):
                on_metrics(_to_end(build, flags, _local_runner()).metrics())
        else:
            with _runner(flags, on_metrics) as runner:
                on_metrics(_to_end(build, flags, runner).metrics())


def run_preflight(build: Callable[["beam.Pipeline"], None], flags: Sequence[str]) -> None:
    """Runs a small pipeline to find out whether a job could run there.

    `PREFLIGHT_S` ends it, and on Flink also the first failure, whatever the restart strategy.

    Raises:
        RunnerError: It failed, or took too long.
        BonafideError: A worker raised it.
    """
    with _temporary_folder(), _runner(flags, lambda metrics: None, PREFLIGHT_S) as runner:
        _to_end(build, flags, runner, None if is_flink(flags) else PREFLIGHT_S)


def cancel_orphaned_job(flags: Sequence[str], job_name: str) -> bool:
    """Cancels the jobs of this name on a Flink cluster. The caller knows that the command that started them has ended.

    Returns:
        Whether one was still running.

    Raises:
        RunnerError: The cluster does not answer.
    """
    if not is_flink(flags):
        return False
    from pipeline.runners.flink.preflight import find_cluster

    cluster = find_cluster(parse_options(flags))
    if cluster is None:
        return False
    orphaned = cluster.running_jobs(job_name)
    for job in orphaned:
        _log.warning("cancelling the job %s: it writes to this store, but the command that started it is gone", job)
        cluster.cancel(job)
    return bool(orphaned)


@contextlib.contextmanager
def interruptible(flags: Sequence[str]) -> Iterator[None]:
    """Gives an interrupted command the time to leave Beam, or to cancel its job on a cluster."""
    with patience(_LEAVE_S if is_local(flags) else _CANCEL_S):
        yield


def _local_runner() -> Any:
    from pipeline.runners.local_runner import LocalRunner

    return LocalRunner()


@contextlib.contextmanager
def _runner(flags: Sequence[str], on_metrics: Callable[[Any], None], preflight_s: float | None = None) -> Iterator[Any]:
    """Gives the project's own runner for Flink, or the one of Beam that the flags name."""
    if is_flink(flags):
        from pipeline.runners.flink.runner import MonitoredFlinkRunner

        yield MonitoredFlinkRunner(on_metrics, preflight_s)
    else:
        from pipeline.runners.portable import portable_runner

        with portable_runner(runner_name(flags)) as runner:
            yield runner


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Gives the block a temporary folder of its own: Beam does not remove all of its jars and folders."""
    old = tempfile.tempdir
    with temporary_folder() as folder:
        tempfile.tempdir = str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = old


def _to_end(
    build: Callable[["beam.Pipeline"], None], flags: Sequence[str], runner: Any, limit_s: float | None = None
) -> Any:
    import apache_beam as beam
    from apache_beam.runners.runner import PipelineState

    from pipeline.runners.environment import workers_did_not_start

    try:
        pipeline = beam.Pipeline(runner=runner, options=parse_options(flags))
        build(pipeline)
        result = pipeline.run()
        try:
            state = result.wait_until_finish(duration=limit_s and round(limit_s * 1000))
            if limit_s is not None and not PipelineState.is_terminal(state):
                raise workers_did_not_start(limit_s)
        except BaseException:
            # Whatever ends the command, its job must not go on unattended.
            try:
                result.cancel()
            except Exception as error:
                _log.warning("the job could not be cancelled and may go on: %s", error)
            raise
        return result
    except Exception as error:  # Beam wraps whatever a worker raised
        raise _explained(error) from error


def _explained(error: Exception) -> BonafideError:
    """The error for the user: the worker's own if Beam's exception is one or holds its traceback, else a `RunnerError`."""
    text = re.sub(r" \[while running '.*?'\]", "", str(error)).strip()
    if isinstance(error, BonafideError):
        return type(error)(text)
    for found in re.finditer(r"^pipeline\.errors\.(\w+): (.+)$", text, re.MULTILINE):
        kind = getattr(errors, found[1], None)
        if isinstance(kind, type) and issubclass(kind, BonafideError) and kind is not errors.AudioError:
            return kind(found[2])
    if "Unable to fetch remote job server jar" in text:
        return RunnerError(
            f"{text}\nOr download it where that is possible, and name it with --spark_job_server_jar=PATH"
        )
    missing = re.search(r"^(?:ModuleNotFoundError|ImportError): (.+)$", text, re.MULTILINE)
    if missing is not None:
        return RunnerError(
            f"package missing on the workers: {missing[1]}. Install this project's wheel and its locked dependencies where "
            "the worker pools run"
        )
    if "Google Cloud Dataflow runner not available" in text:
        return RunnerError("Dataflow's client is not installed: pip install 'bonafide[dataflow]'")
    if "SDK worker disconnected" in text:  # Prism
        return RunnerError(
            "a worker process ended during the run. Finished work is kept: run the command again to go on; the worker pool's log "
            "may say more"
        )
    last = text.rpartition("\n")[2]
    return RunnerError(
        f"the job failed: {last if isinstance(error, RuntimeError) else f'{type(error).__name__}: {last}'}"
    )
