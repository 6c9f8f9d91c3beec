"""Recordings that wait together are scored together, and none suffers from another."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from model.detector import Detector, FileScore, Source
from model.scoring.results import unscored
from model.service.batches import BatchScorer
from tests.support.tone_store import tone


class SlowDetector:
    """Notes what it is asked together, and waits for a sign before it answers; "bad" makes it fail."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.asked = threading.Semaphore(0)
        self.go = threading.Event()

    def score_files(self, sources: Iterable[Source]) -> Iterator[FileScore]:
        names = [source.name for source in sources]
        self.batches.append(names)
        self.asked.release()
        assert self.go.wait(10.0)
        for name in names:
            if name == "bad":
                raise RuntimeError("a defect")
            yield unscored(name, 0.0, "silent: of the test")


def submit(scorer: BatchScorer, names: Iterable[str]) -> "list[Future[FileScore]]":
    return [scorer.submit(Source(name, b"")) for name in names]


@pytest.fixture
def slow() -> SlowDetector:
    return SlowDetector()


@pytest.fixture
def busy(slow: SlowDetector) -> Iterator[BatchScorer]:
    """A scorer whose threads wait for the sign."""
    scorer: Any = BatchScorer(slow)  # type: ignore[arg-type]
    for name in ("first", "second"):
        submit(scorer, [name])
        assert slow.asked.acquire(timeout=10.0)
    yield scorer
    slow.go.set()
    scorer.close()


def test_recordings_that_arrive_while_others_are_scored_are_one_batch(slow: SlowDetector, busy: BatchScorer) -> None:
    names = [f"clip {number}" for number in range(10)]
    futures = submit(busy, names)
    slow.go.set()

    assert [future.result(10.0).path for future in futures] == names
    assert sorted(slow.batches, key=len)[-1] == names


def test_a_batch_is_bounded(slow: SlowDetector, busy: BatchScorer) -> None:
    futures = submit(busy, [str(number) for number in range(150)])
    slow.go.set()

    assert [future.result(10.0).path for future in futures] == [str(number) for number in range(150)]
    assert max(map(len, slow.batches)) == 64


def test_a_recording_that_makes_the_program_fail_is_the_only_one_without_an_answer(
    slow: SlowDetector, busy: BatchScorer
) -> None:
    good, bad, behind = submit(busy, ["good", "bad", "behind"])
    slow.go.set()

    assert good.result(10.0).path == "good"
    assert behind.result(10.0).path == "behind"
    with pytest.raises(RuntimeError, match="a defect"):
        bad.result(10.0)


def test_a_cancelled_recording_is_not_read(slow: SlowDetector, busy: BatchScorer) -> None:
    gone, kept = submit(busy, ["gone", "kept"])
    assert gone.cancel()
    slow.go.set()

    assert kept.result(10.0).path == "kept"
    assert "gone" not in {name for batch in slow.batches for name in batch}


def test_closing_answers_what_waits(slow: SlowDetector) -> None:
    scorer = BatchScorer(slow)  # type: ignore[arg-type]
    futures = submit(scorer, [str(number) for number in range(20)])
    slow.go.set()
    scorer.close()

    assert all(future.done() for future in futures)
    assert not scorer.alive


def test_a_batch_gives_the_records_that_each_recording_has_alone(detector: Detector) -> None:
    from model.detector import Samples

    sources = [Source(str(n), Samples(tone(f"LA_E_{n:07d}", n % 2 == 0), 16000)) for n in range(30)]
    alone = [next(detector.score_files([source])) for source in sources]
    sizes: list[int] = []
    scorer = BatchScorer(detector, sizes.append)
    together = [future.result(60.0) for future in [scorer.submit(source) for source in sources]]
    scorer.close()

    assert max(sizes) > 1
    assert sum(sizes) == len(sources)
    for one, other in zip(together, alone, strict=True):
        assert one.path == other.path
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert (one.verdict, one.warnings, one.duration_s) == (other.verdict, other.warnings, other.duration_s)
