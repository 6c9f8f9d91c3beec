"""The network's logits for whole clips, and their join with the labels of a split."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, overload

import keras
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from model.metrics import ScoreTable, score_table
from model.scoring.windows import clip_windows
from pipeline.store import FeatureStore

_ROWS_AT_ONCE: Final = 4096
_TRIAL_COLUMNS: Final = (
    "utterance_id",
    "speaker_id",
    "attack_id",
    "label",
    "duration_s",
    "leading_silence_s",
    "trailing_silence_s",
    "level_db",
    "peak_db",
    "band_edge_hz",
)


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


class Trials(Sequence[Mapping[str, Any]]):
    """Index rows as a sequence of mappings, which exist only while they are used.

    Args:
        rows: Rows of the index.
    """

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[Mapping[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | list[Mapping[str, Any]]:
        rows = range(len(self))[index]
        taken = self._rows.take([rows] if isinstance(rows, int) else list(rows)).to_pylist()
        return taken[0] if isinstance(rows, int) else taken

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for batch in self._rows.to_batches(max_chunksize=_ROWS_AT_ONCE):
            yield from batch.to_pylist()


def split_trials(store: FeatureStore, split: str) -> Trials:
    """What the index says of a split's originals as trials, sorted by utterance id; not where their records are."""
    index = store.index
    chosen = pc.and_(pc.equal(index["split"], split), pc.equal(index["copy"], 0))
    return Trials(index.select(_TRIAL_COLUMNS).filter(chosen).sort_by("utterance_id"))


def labelled_scores(trials: Iterable[Mapping[str, Any]], scores: Mapping[str, float], source: str) -> ScoreTable:
    """Joins scores to labelled trials by utterance id, whatever the order of either; unlabelled trials are left out.

    Args:
        trials: Index rows.
        scores: By utterance id.
        source: What to call them in messages.

    Raises:
        MetricsError: A class is missing, a score is not finite, or a trial has none.
    """
    utterance_ids, labels, attack_ids, speaker_ids = [], [], [], []
    for row in trials:
        if row["label"] is not None:
            utterance_ids.append(row["utterance_id"])
            labels.append(row["label"])
            attack_ids.append(row["attack_id"] or "-")
            speaker_ids.append(row["speaker_id"] or "-")
    values = [scores.get(utterance_id, np.nan) for utterance_id in utterance_ids]
    return score_table(utterance_ids, values, labels, attack_ids, speaker_ids, source)
