"""The network's logits for whole clips, and their join with the labels of a split."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, overload

import keras
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from model.metrics import ScoreTable, trial_table
from model.scoring.clip_scores import ClipScores, FloatArray
from model.scoring.windows import window_places
from pipeline.corpus.fields import unpack_fields
from pipeline.store import FeatureStore
from pipeline.store.schema import INDEX_SCHEMA

# As objects, which need much more memory than rows of a column.
_TRIALS_AT_ONCE: Final = 512
_TRIAL_COLUMNS: Final = (
    "utterance_id",
    "speaker_id",
    "attack_id",
    "label",
    "fields",
    "duration_s",
    "leading_silence_s",
    "trailing_silence_s",
    "level_db",
    "peak_db",
    "band_edge_hz",
)
SCORED_COLUMNS: Final = (*_TRIAL_COLUMNS, "split", "copy", "n_frames", "shard", "offset", "length")
"""The columns of the index that scoring and evaluation need; the others are half of its memory."""


class Cut(NamedTuple):
    """A clip and where its windows are.

    Attributes:
        features: [frames, bins] in dB.
        places: int64 [windows, n_frames], the frames of each window.
    """

    features: npt.NDArray[np.floating[Any]]
    places: npt.NDArray[np.int64]


class ClipOutput(NamedTuple):
    """What the network says of a clip.

    Attributes:
        logits: float64 [windows].
        embedding: float32 [features], the mean of what goes into the network's last layer.
    """

    logits: FloatArray
    embedding: npt.NDArray[np.float32]

    @property
    def logit(self) -> float:
        """The mean over the windows."""
        return float(np.mean(self.logits))


class ClipScorer:
    """The network's logit for whole clips of any length.

    Attributes:
        n_frames: Frames of a window.
    """

    def __init__(self, network: keras.Model) -> None:
        _, self.n_frames, n_bins = network.input_shape
        signature = [tf.TensorSpec((None, self.n_frames, n_bins), tf.float32)]
        both = keras.Model(network.inputs, [network.layers[-1].input, network.outputs[0]])

        @tf.function(input_signature=signature)
        def forward(windows: tf.Tensor) -> tf.Tensor:
            return network(windows, training=False)[:, 0]

        @tf.function(input_signature=signature)
        def forward_both(windows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            embeddings, logits = both(windows, training=False)
            return embeddings, logits[:, 0]

        self._forward = forward
        self._forward_both = forward_both

    def logits(self, batches: Iterable[tuple[tf.Tensor, tf.Tensor]]) -> ClipScores:
        """The mean logit of each clip's windows.

        Args:
            batches: Of utterance id string [batch] and features float32 [batch, n_frames, bins] in dB, the windows of a clip
                one after the other, such as `model.dataset.scoring_batches` gives.
        """
        return ClipScores(self._mean_logits(batches))

    def _mean_logits(self, batches: Iterable[tuple[tf.Tensor, tf.Tensor]]) -> Iterator[tuple[str, float]]:
        clip, total, count = None, 0.0, 0
        for owners, windows in batches:
            logits = self._forward(windows).numpy().astype(np.float64).tolist()
            for owner, logit in zip(owners.numpy().tolist(), logits, strict=True):
                if owner != clip and clip is not None:
                    yield clip.decode(), total / count
                    total, count = 0.0, 0
                clip, total, count = owner, total + logit, count + 1
        if clip is not None:
            yield clip.decode(), total / count

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
        for output in self.each_output((self.cut(clip) for clip in clips), batch_size):
            yield output.logit

    def cut(self, features: npt.NDArray[np.floating[Any]]) -> Cut:
        """A whole clip with the windows that evaluation and scoring use: the fewest that hold every frame."""
        return Cut(features, window_places(len(features), self.n_frames))

    def each_output(self, cuts: Iterable[Cut], batch_size: int) -> Iterator[ClipOutput]:
        """The network's output for each of many clips, in order, as `each_logit`."""
        waiting: deque[int] = deque()  # windows of each clip without an output yet
        windows: deque[npt.NDArray[np.float32]] = deque()
        logits: deque[float] = deque()
        embeddings: deque[npt.NDArray[np.float32]] = deque()

        def run(count: int) -> None:
            batch = np.stack([windows.popleft() for _ in range(min(count, len(windows)))])
            found, values = self._forward_both(batch)
            embeddings.extend(found.numpy().astype(np.float32))
            logits.extend(values.numpy().astype(np.float64).tolist())

        def finished() -> Iterator[ClipOutput]:
            while waiting and waiting[0] <= len(logits):
                count = waiting.popleft()
                values = np.array([logits.popleft() for _ in range(count)])
                yield ClipOutput(values, np.mean([embeddings.popleft() for _ in range(count)], axis=0))

        for features, places in cuts:
            waiting.append(len(places))
            windows.extend(np.asarray(features[rows], dtype=np.float32) for rows in places)
            while len(windows) >= batch_size:
                run(batch_size)
            yield from finished()
        if windows:
            run(batch_size)
        yield from finished()


class Trials(Sequence[Mapping[str, Any]]):
    """Index rows as a sequence of mappings, which exist only while they are used.

    A mapping has the columns of a trial by their names and, in place of `fields`, each of the protocol's other fields by its own.

    Args:
        index: Table with the columns of a trial.
        rows: Row numbers, in the order of the trials.
    """

    def __init__(self, index: pa.Table, rows: pa.UInt64Array) -> None:
        self._index = index.select(_TRIAL_COLUMNS)
        self._rows = rows

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> "Trials":
        """Trials of index rows that are mappings, in their order."""
        schema = pa.schema([INDEX_SCHEMA.field(name).with_nullable(True) for name in _TRIAL_COLUMNS])
        table = pa.Table.from_pylist([dict(row) for row in rows], schema)
        return cls(table, pa.array(range(table.num_rows), pa.uint64()))

    @classmethod
    def of_table(cls, table: pa.Table) -> "Trials":
        """Trials of the rows of a table, in their order; a column of a trial that it lacks is null."""
        for name in _TRIAL_COLUMNS:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows, INDEX_SCHEMA.field(name).type))
        return cls(table, pa.array(range(table.num_rows), pa.uint64()))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[Mapping[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | list[Mapping[str, Any]]:
        rows = range(len(self))[index]
        chosen = self._rows.take([rows] if isinstance(rows, int) else list(rows))
        taken = _with_fields(self._index.take(chosen))
        return taken[0] if isinstance(rows, int) else taken

    def labelled(self) -> "Trials":
        """Those that have a label."""
        return Trials(self._index, self._rows.filter(pc.is_valid(self._index["label"].take(self._rows))))

    def strings(self, name: str) -> npt.NDArray[np.str_]:
        """A column of strings, or one of the protocol's other fields: str [n], "-" where there is none."""
        if name in self._index.column_names:
            column = self._index[name].take(self._rows)
        else:
            packed = self._index["fields"].take(self._rows)
            column = pa.array([unpack_fields(fields.as_py()).get(name) for fields in packed], pa.string())
        column = pc.fill_null(column, "-")
        width = pc.max(pc.utf8_length(column)).as_py() or 1
        values = (value.as_py() for value in column)
        # Without a Python object per trial.
        return np.fromiter(values, np.dtype((np.str_, width)), len(self))

    def field_names(self) -> list[str]:
        """The names of the protocol's other fields, sorted."""
        packed = pc.unique(self._index["fields"].take(self._rows))
        return sorted({name for fields in packed for name in unpack_fields(fields.as_py())})

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """A column of numbers without nulls: [n]."""
        found: npt.NDArray[Any] = self._index[name].take(self._rows).to_numpy()
        return found

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for at in range(0, len(self), _TRIALS_AT_ONCE):
            yield from _with_fields(self._index.take(self._rows.slice(at, _TRIALS_AT_ONCE)))


def _with_fields(rows: pa.Table) -> list[Mapping[str, Any]]:
    """Index rows as mappings, with the other fields of the protocol by their names."""
    columns, packed = rows.drop_columns(["fields"]).to_pylist(), rows["fields"].to_pylist()
    return [{**unpack_fields(fields), **row} for fields, row in zip(packed, columns, strict=True)]


def split_trials(store: FeatureStore, split: str) -> Trials:
    """What the index says of a split's originals as trials, sorted by utterance id; not where their records are."""
    index = store.index
    rows = pc.indices_nonzero(pc.and_(pc.equal(index["split"], split), pc.equal(index["copy"], 0)))
    return Trials(index, rows.take(pc.sort_indices(index["utterance_id"].take(rows))))


def labelled_scores(trials: Iterable[Mapping[str, Any]], scores: Mapping[str, float], source: str) -> ScoreTable:
    """Joins scores to labelled trials by utterance id, whatever the order of either; unlabelled trials are left out.

    The table may lack a class, and all of its scores may be equal.

    Args:
        trials: Index rows.
        scores: By utterance id.
        source: What to call them in messages.

    Raises:
        MetricsError: A score is not finite, or a trial has none.
    """
    labelled = (trials if isinstance(trials, Trials) else Trials.of(trials)).labelled()
    names, attacks, speakers = (labelled.strings(name) for name in ("utterance_id", "attack_id", "speaker_id"))
    values = np.fromiter((scores.get(name, np.nan) for name in map(str, names)), np.float64, len(names))
    # What the join needed, before the metrics need theirs.
    pa.default_memory_pool().release_unused()
    return trial_table(names, values, labelled.numbers("label"), attacks, speakers, source)


def trial_values(trials: Iterable[Mapping[str, Any]], table: ScoreTable, names: Sequence[str]) -> FloatArray:
    """Values of the trials of a table: float64 [names, n].

    Args:
        trials: Index rows, those of the table in its order, and maybe others.
        table: Scores.
        names: Columns of the index.

    Raises:
        ValueError: A trial of the table is missing, or the order is another.
    """
    values = np.empty((len(names), len(table)))
    place = 0
    for row in trials:
        if place < len(table) and row["utterance_id"] == table.utterance_ids[place]:
            values[:, place] = [row[name] for name in names]
            place += 1
    if place < len(table):
        raise ValueError(f"{table.source}: {table.utterance_ids[place]} is not among the trials, or out of order")
    return values
