"""Beam's FlinkRunner, adapted to the REST interface of Flink 2, with metrics while a job runs.

Beam's client packs the job into a jar, uploads it and polls its state. The client reads exceptions from a field that Flink 2 does
not have, calls a cancel endpoint that does not exist, polls up to a minute apart, and reports metrics only after the end.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import requests
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.flink_uber_jar_job_server import FlinkBeamJob, FlinkUberJarJobServer
from apache_beam.runners.portability.portable_runner import PortableMetrics
from google.protobuf import json_format

from pipeline.errors import RunnerError
from pipeline.runners.environment import workers_did_not_start
from pipeline.runners.flink.rest import FlinkCluster

_POLL_S = 0.5
_SILENCE_S = 30.0
"""How long the cluster may not answer, for example while another JobManager takes over."""


class MonitoredFlinkRunner(FlinkRunner):  # type: ignore[misc]
    """A FlinkRunner whose jobs can be cancelled, report metrics while they run, and say why they failed.

    Args:
        on_metrics: Called with Beam's `MetricResults` about twice a second, once the cluster has some.
        preflight_s: For a preflight: its time limit in seconds. Its first failure ends it, even if the cluster would retry.
            None: a job without a time limit, which the cluster may restart.
    """

    def __init__(self, on_metrics: Callable[[Any], None], preflight_s: float | None = None) -> None:
        super().__init__()
        self._on_metrics = on_metrics
        self._preflight_s = preflight_s

    def default_job_server(self, options: PipelineOptions) -> Any:
        server = super().default_job_server(options)
        if isinstance(server, FlinkUberJarJobServer):
            return _JobServer(server._master_url, options, self._on_metrics, self._preflight_s)
        return server


class _JobServer(FlinkUberJarJobServer):  # type: ignore[misc]
    def __init__(
        self, master: str, options: PipelineOptions, on_metrics: Callable[[Any], None], preflight_s: float | None
    ) -> None:
        super().__init__(master, options)
        self._on_metrics = on_metrics
        self._preflight_s = preflight_s

    def create_beam_job(self, job_id: str, job_name: str, pipeline: Any, options: Any) -> "_Job":
        job = _Job(
            self._master_url,
            self.executable_jar(),
            job_id,
            job_name,
            pipeline,
            options,
            artifact_port=self._artifact_port,
        )
        job.cluster = FlinkCluster(self._master_url)
        job.on_metrics = self._on_metrics
        job.preflight_s = self._preflight_s
        return job


class _Job(FlinkBeamJob):  # type: ignore[misc]
    cluster: FlinkCluster
    on_metrics: Callable[[Any], None]
    preflight_s: float | None

    def run(self) -> None:
        try:
            super().run()
        except RuntimeError as error:
            raise RunnerError(f"the cluster refuses the job: {_refusal(str(error))}") from error

    def cancel(self) -> None:
        self.cluster.cancel(self._flink_job_id)
        self.delete_jar()

    def get_state_stream(self) -> Iterator[Any]:
        began = time.monotonic()
        for state, timestamp in self.with_state_history(self._states()):
            if state == beam_job_api_pb2.JobState.FAILED:
                stack = self.cluster.last_failure(self._flink_job_id)
                raise RuntimeError("the cluster gives no reason" if stack is None else failure(stack))
            yield state, timestamp
            if self.is_terminal_state(state):
                return
            if self.preflight_s is not None:
                self._end_failed_preflight(time.monotonic() - began)

    def get_message_stream(self) -> Iterator[Any]:
        """Empty: the stream of states ends with the reason of a failure."""
        return iter(())

    def _end_failed_preflight(self, seconds: float) -> None:
        stack = self.cluster.last_failure(self._flink_job_id)
        if stack is None and seconds < (self.preflight_s or 0.0):
            return
        # The reason of the failure matters more than a cancellation that failed too.
        with contextlib.suppress(RunnerError):
            self.cancel()
        if stack is not None:
            raise RuntimeError(failure(stack))
        raise workers_did_not_start(seconds)

    def _states(self) -> Iterator[Any]:
        answered = time.monotonic()
        while True:
            try:
                state = self.get_state()
                self._report_metrics()
            except (requests.RequestException, RuntimeError) as error:
                if "failed with status 404" in str(error):
                    raise RunnerError(
                        f"the cluster at {self._master_url} no longer knows the job, as after a restart of its JobManager. "
                        "Finished work is kept: run the command again"
                    ) from error
                if time.monotonic() - answered > _SILENCE_S:
                    raise RunnerError(
                        f"the cluster at {self._master_url} has not answered for {_SILENCE_S:.0f} s; the job may be lost. "
                        "Finished work is kept: run the command again when the cluster is back"
                    ) from error
            else:
                answered = time.monotonic()
                yield state
            time.sleep(_POLL_S)

    def _report_metrics(self) -> None:
        try:
            text = self.get_metrics()
        except LookupError:
            return  # no bundle has finished yet
        self.on_metrics(PortableMetrics(json_format.Parse(text, beam_job_api_pb2.GetJobMetricsResponse())))


def failure(stack: str) -> str:
    """The reason in a Java stack trace: the worker's Python traceback if it holds one, else the deepest cause."""
    # The last one of a chain: the error that was raised for the user in place of its cause.
    tracebacks = re.findall(r"Traceback \(most recent call last\):\n.*?(?=\n\s*\n|\n\s+at |\Z)", stack, re.DOTALL)
    if tracebacks:
        return str(tracebacks[-1]).strip()
    causes = re.findall(r"^(?:Caused by: )?([\w.$]+(?:Exception|Error|Failure)\b.*)$", stack, re.MULTILINE)
    return causes[-1] if causes else stack.strip().partition("\n")[0]


def _refusal(answer: str) -> str:
    """The message of the exception that the cluster threw, from its answer with stack traces."""
    causes = re.findall(r"Caused by: ([\w.$]+: .*?)(?:\\n|\n|\"|$)", answer)
    return causes[-1].partition(": ")[2] if causes else answer
