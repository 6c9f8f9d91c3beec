"""Beam's FlinkRunner, mended where it meets the REST interface of Flink 2: cancelling, errors, and how often it asks.

Beam's client puts the job into a jar, uploads that and then polls. It reads exceptions from a field that Flink 2 no longer has,
cancels at an address that never was, and waits up to a minute between two looks; the overrides here do these three things.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

import requests
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.flink_uber_jar_job_server import FlinkBeamJob, FlinkUberJarJobServer

from pipeline.errors import RunnerError

_POLL_S = 0.5
_SILENCE_S = 30.0
"""How long the cluster may give no answer, as while another JobManager takes over."""
_CANCEL_S = 30.0


class MendedFlinkRunner(FlinkRunner):  # type: ignore[misc]
    """A FlinkRunner whose jobs can be cancelled and say why they failed, where they go to a cluster as a jar."""

    def default_job_server(self, options: PipelineOptions) -> Any:
        server = super().default_job_server(options)
        if isinstance(server, FlinkUberJarJobServer):
            return _JobServer(server._master_url, options)
        return server


class _JobServer(FlinkUberJarJobServer):  # type: ignore[misc]
    def create_beam_job(self, job_id: str, job_name: str, pipeline: Any, options: Any) -> "_Job":
        return _Job(
            self._master_url,
            self.executable_jar(),
            job_id,
            job_name,
            pipeline,
            options,
            artifact_port=self._artifact_port,
        )


class _Job(FlinkBeamJob):  # type: ignore[misc]
    def run(self) -> None:
        try:
            super().run()
        except RuntimeError as error:
            raise RunnerError(f"the cluster refuses the job: {_refusal(str(error))}") from error

    def cancel(self) -> None:
        self.request(
            requests.patch, f"v1/jobs/{self._flink_job_id}?mode=cancel", expected_status=202, timeout=_CANCEL_S
        )
        deadline = time.monotonic() + _CANCEL_S
        while not self.is_terminal_state(self.get_state()[0]) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        self.delete_jar()

    def get_state_stream(self) -> Iterator[Any]:
        for state, timestamp in self.with_state_history(self._states()):
            if state == beam_job_api_pb2.JobState.FAILED:
                raise RuntimeError(self._reason())
            yield state, timestamp
            if self.is_terminal_state(state):
                return

    def get_message_stream(self) -> Iterator[Any]:
        """Gives none: the stream of states ends with the reason."""
        return iter(())

    def _states(self) -> Iterator[Any]:
        answered = time.monotonic()
        while True:
            try:
                state = self.get_state()
            except requests.RequestException as error:
                if time.monotonic() - answered > _SILENCE_S:
                    raise RunnerError(
                        f"the cluster at {self._master_url} has not answered for {_SILENCE_S:.0f} s; the job may be lost. "
                        "What is finished is kept: run the command again when the cluster is back"
                    ) from error
            except RuntimeError as error:
                raise RunnerError(
                    f"the cluster at {self._master_url} no longer knows the job, as after a restart of its JobManager. "
                    "What is finished is kept: run the command again"
                ) from error
            else:
                answered = time.monotonic()
                yield state
            time.sleep(_POLL_S)

    def _reason(self) -> str:
        history = self.get(f"v1/jobs/{self._flink_job_id}/exceptions")["exceptionHistory"]["entries"]
        return failure(history[0]["stacktrace"]) if history else "the cluster gives no reason"


def failure(stack: str) -> str:
    """What went wrong, of a Java stack trace: the worker's Python traceback if there is one, else the deepest cause.

    Raises:
        RunnerError: The workers lack a package.
    """
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", stack)
    if missing is not None:
        raise RunnerError(
            f"package missing on the workers: {missing[1]}. Install this project's wheel and its locked dependencies "
            "where the worker pools run"
        )
    traceback = re.search(r"Traceback \(most recent call last\):\n.*?(?=\n\s*\n|\n\s+at |\Z)", stack, re.DOTALL)
    if traceback is not None:
        return traceback[0].strip()
    causes = re.findall(r"^(?:Caused by: )?([\w.$]+(?:Exception|Error|Failure)\b.*)$", stack, re.MULTILINE)
    return causes[-1] if causes else stack.strip().partition("\n")[0]


def _refusal(answer: str) -> str:
    """The message of what the job's program threw on the cluster, out of the answer with its stack traces."""
    causes = re.findall(r"Caused by: ([\w.$]+: .*?)(?:\\n|\n|\"|$)", answer)
    own = [cause for cause in causes if cause.startswith("bonafide.flink.")]
    found = own or causes
    return found[-1].partition(": ")[2] if found else answer
