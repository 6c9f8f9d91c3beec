"""Progress of a run, whatever its runner reports of it, and when."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.job.progress import Progress, ProgressReporter
from pipeline.storage import LocalStorage
from pipeline.store.schema import index_path
from pipeline.store.sharding import Shard, Source

CLIPS = 10
SHARDS = [
    Shard(f"train-0000{n}-of-00004", "train", (Source("u", None, None, 1, "u.flac", None, None),) * CLIPS)
    for n in range(4)
]


class FakeMetrics:
    """Beam's `MetricResults` with counters of the features job."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts

    def query(self) -> dict[str, Any]:
        return {
            "counters": [
                SimpleNamespace(key=SimpleNamespace(metric=SimpleNamespace(namespace="features", name=name)), result=n)
                for name, n in self._counts.items()
            ]
        }


@pytest.fixture
def progress_of(tmp_path: Path) -> Callable[..., tuple[int, int, int]]:
    """Shards, clips and rejects that are shown after the runner reported counts and shards were committed."""

    def progress(committed: int, **counted: int) -> tuple[int, int, int]:
        storage = LocalStorage(str(tmp_path))
        for shard in SHARDS[:committed]:
            storage.write(index_path(shard.name), b"")
        seen: list[Progress] = []
        with ProgressReporter(storage, SHARDS, seen.append) as reporter:
            reporter.take_metrics(FakeMetrics(counted))
            time.sleep(0.01)
        counts = seen[-1].counts
        return counts.shards, counts.clips, counts.rejects

    return progress


def test_committed_shards_count_while_the_runner_reports_none(progress_of: Callable[..., tuple[int, int, int]]) -> None:
    # Flink: the operator that makes the elements closes first, and its metrics have no shards.
    assert progress_of(3) == (3, 30, 0)


def test_the_larger_of_metrics_and_committed_shards_is_shown(progress_of: Callable[..., tuple[int, int, int]]) -> None:
    assert progress_of(3, shards=1, clips=10, rejects=2) == (3, 30, 2)
    assert progress_of(3, shards=4, clips=40, rejects=5) == (4, 40, 5)
