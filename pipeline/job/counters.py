"""What the workers of the features job count, as Beam metrics, and what the command reads of it.

A task that was retried counts once if the runner drops the counts of failed attempts, as Flink does. Beam is imported only where
something is counted.
"""

import os
import socket
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_JOB = "features"
_WORKER_CLIPS = "features.worker_clips"
_WORKER_MILLISECONDS = "features.worker_milliseconds"


@dataclass(frozen=True)
class WorkerCounts:
    """What one worker process did.

    Attributes:
        clips: Utterances that it processed.
        busy_s: Wall time that it spent on them, in seconds.
    """

    clips: int
    busy_s: float


@dataclass(frozen=True)
class Counts:
    """What the workers of a job have done.

    Attributes:
        shards: Finished shards.
        clips: Utterances in them, rejects included.
        rejects: Utterances that cannot be used.
        workers: By host and process id, such as "node-3/4711".
    """

    shards: int = 0
    clips: int = 0
    rejects: int = 0
    workers: Mapping[str, WorkerCounts] = field(default_factory=lambda: MappingProxyType({}))


def count_shard(clips: int, rejects: int) -> None:
    """Counts a finished shard, in a worker."""
    from apache_beam.metrics import Metrics

    for name, number in (("shards", 1), ("clips", clips), ("rejects", rejects)):
        Metrics.counter(_JOB, name).inc(number)


def count_work(clips: int, seconds: float) -> None:
    """Counts the work of this process; a shard that an earlier attempt committed counts as finished, not as work."""
    from apache_beam.metrics import Metrics

    worker = f"{socket.gethostname()}/{os.getpid()}"
    Metrics.counter(_WORKER_CLIPS, worker).inc(clips)
    Metrics.counter(_WORKER_MILLISECONDS, worker).inc(round(seconds * 1000))


def read_counts(metrics: Any) -> Counts:
    """Sums Beam's metrics over all steps.

    Args:
        metrics: `apache_beam.metrics.metric.MetricResults` of a job.
    """
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for found in metrics.query()["counters"]:
        sums[found.key.metric.namespace][found.key.metric.name] += found.result or 0
    milliseconds = sums[_WORKER_MILLISECONDS]
    workers = {
        name: WorkerCounts(clips, milliseconds[name] / 1000) for name, clips in sorted(sums[_WORKER_CLIPS].items())
    }
    return Counts(**{name: sums[_JOB][name] for name in ("shards", "clips", "rejects")}, workers=workers)
