"""The network's logits for whole clips, and their join with the labels of a split."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.metrics import ScoreTable, score_table
from model.scoring.windows import clip_windows
from pipeline.store import FeatureStore


class ClipScorer:
    """The network's logit for whole clips of any length.

    Attributes:
        n_frames: Frames of a window.
    """

    def __init__(self, network: keras.Model) -> None:
        _, self.n_frames, n_bins = network.input_shape
        signature = [tf.TensorSpec((None, self.n_frames, n_bins), tf.float32)]

        @tf.function(input_signature=signature)
        def forward(windows: tf.Tensor) -> tf.Tensor:
            return network(windows, training=False)[:, 0]

        @tf.function(input_signature=[tf.TensorSpec((None, n_bins), tf.float32)])
        def cut(features: tf.Tensor) -> tf.Tensor:
            return clip_windows(features, self.n_frames)

        self._forward = forward
        self._cut = cut

    def logits(self, batches: Iterable[tuple[tf.Tensor, tf.Tensor]]) -> dict[str, float]:
        """The mean logit of each clip's windows.

        Args:
            batches: Of utterance id string [batch] and features float32 [batch, n_frames, bins] in dB, such as
                `model.dataset.scoring_batches` gives.
        """
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for owners, windows in batches:
            logits = self._forward(windows).numpy().astype(np.float64).tolist()
            for owner, logit in zip(owners.numpy().tolist(), logits, strict=True):
                name = owner.decode()
                sums[name] = sums.get(name, 0.0) + logit
                counts[name] = counts.get(name, 0) + 1
        return {name: total / counts[name] for name, total in sums.items()}

    def logit(self, features: npt.NDArray[np.floating[Any]], batch_size: int) -> float:
        """The mean logit of one clip.

        Args:
            features: [frames, bins] in dB.
            batch_size: Windows at once.
        """
        return next(self.each_logit([features], batch_size))

    def each_logit(self, clips: Iterable[npt.NDArray[np.floating[Any]]], batch_size: int) -> Iterator[float]:
        """The mean logit of each of many clips, in order; short clips share a call of the network.

        Args:
            clips: Each [frames, bins] in dB. They are taken as their logits are needed, so few are in memory at once.
            batch_size: Windows at once.
        """
        waiting: deque[int] = deque()  # windows of each clip without a logit yet
        windows: deque[npt.NDArray[np.float32]] = deque()
        logits: deque[float] = deque()

        def run(count: int) -> None:
            batch = np.stack([windows.popleft() for _ in range(min(count, len(windows)))])
            logits.extend(self._forward(batch).numpy().astype(np.float64).tolist())

        def finished() -> Iterator[float]:
            while waiting and waiting[0] <= len(logits):
                count = waiting.popleft()
                yield float(np.mean([logits.popleft() for _ in range(count)]))

        for clip in clips:
            cut = self._cut(np.asarray(clip, dtype=np.float32)).numpy()
            waiting.append(len(cut))
            windows.extend(cut)
            while len(windows) >= batch_size:
                run(batch_size)
            yield from finished()
        if windows:
            run(batch_size)
        yield from finished()


def split_trials(store: FeatureStore, split: str) -> list[dict[str, Any]]:
    """The index rows of a split's originals, sorted by utterance id."""
    rows: list[dict[str, Any]] = store.select(split=split, copy=0).index.to_pylist()
    return sorted(rows, key=lambda row: row["utterance_id"])


def labelled_scores(trials: Iterable[Mapping[str, Any]], scores: Mapping[str, float], source: str) -> ScoreTable:
    """Joins scores to labelled trials by utterance id, whatever the order of either; unlabelled trials are left out.

    Args:
        trials: Index rows.
        scores: By utterance id.
        source: What to call them in messages.

    Raises:
        MetricsError: A class is missing, a score is not finite, or a trial has none.
    """
    rows = [row for row in trials if row["label"] is not None]
    return score_table(
        [row["utterance_id"] for row in rows],
        [scores.get(row["utterance_id"], np.nan) for row in rows],
        [row["label"] for row in rows],
        [row["attack_id"] or "-" for row in rows],
        [row["speaker_id"] or "-" for row in rows],
        source,
    )
