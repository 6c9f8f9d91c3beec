"""Progress of a run, true on any runner: the larger of what the workers' counts and the committed index parts tell.

A runner may report counts while the job runs, only at its end, or those of some of its workers before those of others.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import StoreError
from pipeline.job.clip_marks import clips_in_flight
from pipeline.job.counters import Counts, read_counts
from pipeline.storage import Storage
from pipeline.store.schema import INDEX_FOLDER, index_path
from pipeline.store.sharding import Shard

_POLL_S = 0.5


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        counts: What its workers have done; rejects and workers as far as the runner reports them during the run.
        total_shards: Shards that were due.
        total_clips: Utterances in them.
    """

    counts: Counts
    total_shards: int
    total_clips: int


class ProgressReporter:
    """Reports the progress of a run twice a second, from a thread of its own, while its `with` block runs.

    Args:
        storage: Of the store that the run writes.
        pending: Shards that are due.
        on_progress: Called from the thread.

    Attributes:
        counts: What the workers counted, as far as the runner has reported it.
    """

    def __init__(self, storage: Storage, pending: Sequence[Shard], on_progress: Callable[[Progress], None]) -> None:
        self.counts = Counts()
        self._storage = storage
        self._clips = {index_path(shard.name): len(shard.sources) for shard in pending}
        self._on_progress = on_progress
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._report, name="features-progress", daemon=True)

    def take_metrics(self, metrics: Any) -> None:
        """Takes Beam's `MetricResults` of the job, from any thread."""
        self.counts = read_counts(metrics)

    def __enter__(self) -> "ProgressReporter":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _report(self) -> None:
        while True:
            ended = self._stop.wait(_POLL_S)
            # Progress is best effort: storage errors surface where shards are written.
            with suppress(StoreError):
                self._on_progress(Progress(self._so_far(), len(self._clips), sum(self._clips.values())))
            if ended:
                return

    def _so_far(self) -> Counts:
        counts = self.counts
        if counts.clips >= sum(self._clips.values()):
            return counts
        parts = [name for name in self._storage.list(f"{INDEX_FOLDER}/") if name in self._clips]
        clips = sum(self._clips[name] for name in parts)
        return replace(counts, shards=max(counts.shards, len(parts)), clips=max(counts.clips, clips))


def work_in_flight(storage: Storage, url: str) -> list[str]:
    """Names of the shards that have files open under temporary names, each with the clip in hand; none on an object store."""
    names = {name.rpartition("/")[2].lstrip(".").partition(".")[0] for name in storage.leftovers()}
    clips = clips_in_flight(url)
    return [f"{name} at {clips[name]}" if name in clips else name for name in sorted(names | clips.keys())]
