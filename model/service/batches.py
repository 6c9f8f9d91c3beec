"""Scores of recordings that arrive at any time: those that wait together share the calls of the network.

No request waits for others to come. While recordings are being scored, new ones gather, and the next batch takes all of them.
"""

import io
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

import numpy as np
import soundfile

from model.detector import Detector, FileScore, Source

_MOST: Final = 64
_WORKERS: Final = 2
"""One reads and decodes while the network is busy with the recordings of the other."""

_Waiting = tuple[Source, "Future[FileScore]"]


class BatchScorer:
    """Scores recordings of many callers. Threads may share it.

    Args:
        detector: That scores.
        on_batch: Called with the number of recordings of each batch.
    """

    def __init__(self, detector: Detector, on_batch: Callable[[int], None] = lambda count: None) -> None:
        self._detector = detector
        self._on_batch = on_batch
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"score-{n}", daemon=True) for n in range(_WORKERS)]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether recordings are still being scored."""
        return all(thread.is_alive() for thread in self._threads)

    def submit(self, source: Source) -> "Future[FileScore]":
        """The record of a recording to come. One that is cancelled before its turn is not read."""
        future: Future[FileScore] = Future()
        self._waiting.put((source, future))
        return future

    def close(self) -> None:
        """Scores what waits, and ends. Nothing may be submitted afterwards."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            if batch:
                self._on_batch(len(batch))
                self._score(batch)

    def _next(self) -> list[_Waiting] | None:
        """All that waits, at least one; None at the end."""
        batch: list[_Waiting] = []
        taken = self._waiting.get()
        while taken is not None:
            if taken[1].set_running_or_notify_cancel():
                batch.append(taken)
            if len(batch) == _MOST or self._waiting.empty():
                return batch
            try:
                taken = self._waiting.get_nowait()
            except queue.Empty:  # the other thread was faster
                return batch
        if not batch:
            return None
        self._waiting.put(None)
        return batch

    def _score(self, batch: list[_Waiting]) -> None:
        try:
            records = self._detector.score_files(source for source, _ in batch)
            for (_, future), record in zip(batch, records, strict=True):
                future.set_result(record)
        except Exception:
            # One recording made the program fail; the others of its batch should not suffer.
            for source, future in batch:
                if not future.done():
                    self._score_alone(source, future)

    def _score_alone(self, source: Source, future: "Future[FileScore]") -> None:
        try:
            (record,) = self._detector.score_files([source])
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(record)


def warm_up(detector: Detector) -> None:
    """Lets the detector score a second of noise; the first decoding and the first call of the network take much longer."""
    rate = detector.bundle.features.sample_rate
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).uniform(-0.5, 0.5, rate), rate, format="FLAC")
    detector.score(file.getvalue())
