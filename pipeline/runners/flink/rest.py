"""A client of Flink's REST interface: the requests that the project needs.

The fields of the answers: https://nightlies.apache.org/flink/flink-docs-release-2.2/docs/ops/rest_api/
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from pipeline.errors import RunnerError

_TIMEOUT_S = 5.0
_CANCEL_S = 30.0
_POLL_S = 0.5
_ENDED = frozenset({"FINISHED", "CANCELED", "FAILED"})
_NO_SUCH_RUNNING_JOB = (404, 409)


@dataclass(frozen=True)
class Overview:
    """The version of a cluster, such as "2.2.1", and its task slots."""

    version: str
    slots_total: int
    slots_free: int


class _StatusError(RunnerError):
    """The cluster answers with the HTTP status of an error."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class FlinkCluster:
    """The JobManager at an address.

    Attributes:
        url: `http://host:port`, without a slash at the end.
    """

    def __init__(self, master: str) -> None:
        master = master.strip().rstrip("/")
        self.url = master if "://" in master else f"http://{master}"

    def overview(self) -> Overview:
        """Version and slots.

        Raises:
            RunnerError: Nothing answers there, or something else than a Flink cluster.
        """
        found = self._ask(requests.get, "overview")
        try:
            return Overview(str(found["flink-version"] or ""), int(found["slots-total"]), int(found["slots-available"]))
        except (KeyError, TypeError) as error:
            raise RunnerError(f"{self.url} is no Flink cluster: its /overview names no version or slots") from error

    def most_slots(self) -> int:
        """The largest number of slots that a TaskManager has.

        Raises:
            RunnerError: The cluster does not answer.
        """
        return max(
            (int(each["slotsNumber"]) for each in self._ask(requests.get, "taskmanagers")["taskmanagers"]), default=1
        )

    def running_jobs(self, name: str) -> list[str]:
        """Ids of the jobs of this name that have not ended.

        Raises:
            RunnerError: The cluster does not answer.
        """
        jobs = self._ask(requests.get, "jobs/overview").get("jobs", [])
        return [str(job["jid"]) for job in jobs if job["state"] not in _ENDED and job["name"] == name]

    def cancel(self, job: str) -> None:
        """Cancels a job, unless it has ended, and waits until its slots are free.

        Raises:
            RunnerError: The cluster does not answer, or the job has not ended within 30 s.
        """
        try:
            self._ask(requests.patch, f"jobs/{job}?mode=cancel")
        except _StatusError as error:
            if error.status in _NO_SUCH_RUNNING_JOB:
                return
            raise
        deadline = time.monotonic() + _CANCEL_S
        while time.monotonic() < deadline:
            if self._ask(requests.get, f"jobs/{job}")["state"] in _ENDED:
                return
            time.sleep(_POLL_S)
        raise RunnerError(
            f"the job {job} on {self.url} has not ended within {_CANCEL_S:.0f} s of being cancelled; end it on the cluster's page"
        )

    def last_failure(self, job: str) -> str | None:
        """The Java stack trace of a job's latest failure, also if a restart repaired it; None if it had no failure.

        Raises:
            RunnerError: The cluster does not answer.
        """
        history = self._ask(requests.get, f"jobs/{job}/exceptions")["exceptionHistory"]["entries"]
        return str(history[0]["stacktrace"]) if history else None

    def _ask(self, method: Callable[..., requests.Response], path: str) -> dict[str, Any]:
        try:
            answer = method(f"{self.url}/{path}", timeout=_TIMEOUT_S)
            if not answer.ok:
                raise _StatusError(
                    f"{self.url} answers {answer.status_code} {answer.reason} to /{path}", answer.status_code
                )
            content = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise RunnerError(
                f"no Flink cluster answers at {self.url} ({_reason(error)}); check --flink_master and that it runs"
            ) from error
        if not isinstance(content, dict):
            raise RunnerError(f"{self.url} is no Flink cluster: /{path} gives no JSON object")
        return content


def _reason(error: Exception) -> str:
    """Why a request failed, in a few words: the operating system's message if there is one."""
    if "BadStatusLine" in str(error):
        return "something else than HTTP answers there"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            return cause.strerror
        cause = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
    return "it takes too long" if isinstance(error, requests.Timeout) else str(error)
