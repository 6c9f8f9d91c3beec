"""Progress of a run: the workers' counts if the runner reports them during the run, else the index parts committed so far."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
        counts: What its workers have done; without rejects and workers if the runner reports them only at the end.
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
        self._has_counts = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._report, name="features-progress", daemon=True)

    def take_metrics(self, metrics: Any) -> None:
        """Takes Beam's `MetricResults` of the job, from any thread."""
        self.counts = read_counts(metrics)
        self._has_counts = True

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
                counts = self.counts if self._has_counts else self._committed()
                self._on_progress(Progress(counts, len(self._clips), sum(self._clips.values())))
            if ended:
                return

    def _committed(self) -> Counts:
        parts = [name for name in self._storage.list(f"{INDEX_FOLDER}/") if name in self._clips]
        return Counts(shards=len(parts), clips=sum(self._clips[name] for name in parts))


def work_in_flight(storage: Storage, url: str) -> list[str]:
    """Names of the shards that have files open under temporary names, each with the clip in hand; none on an object store."""
    names = {name.rpartition("/")[2].lstrip(".").partition(".")[0] for name in storage.leftovers()}
    clips = clips_in_flight(url)
    return [f"{name} at {clips[name]}" if name in clips else name for name in sorted(names | clips.keys())]
