"""The files of a scored corpus: one Parquet file for each shard, and a score file in the form of ASVspoof for each split.

A shard's file is there as a whole or not at all, and its metadata says which model and which utterances it is of.
"""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from model.metrics.score_files import format_scores
from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.sharding import Shard

BATCH_FILE: Final = "batch.json"
SHARDS_FOLDER: Final = "shards"
SCORES_SCHEMA: Final = pa.schema(
    [
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("speaker_id", pa.string()),
        pa.field("attack_id", pa.string()),
        pa.field("label", pa.int64()),
        pa.field("path", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("probability", pa.float64()),
        pa.field("verdict", pa.string()),
        pa.field("duration_s", pa.float64()),
        pa.field("problem", pa.string()),
    ]
)
"""One row per utterance. Score, probability, verdict and duration are null where `problem`, "reason: detail", is not."""

_METADATA_KEY: Final = b"bonafide.batch"


@dataclass(frozen=True)
class Origin:
    """What the scores of a shard are of.

    Attributes:
        model: SHA-256 of the ONNX model.
        utterances: Fingerprint of the shard's utterances.
    """

    model: str
    utterances: str

    @classmethod
    def of(cls, model: str, shard: Shard) -> "Origin":
        """That of a shard under a model."""
        return cls(model, shard.fingerprint(""))


def scores_path(shard: str) -> str:
    """Name of a shard's file."""
    return f"{SHARDS_FOLDER}/{shard}.parquet"


def split_path(split: str) -> str:
    """Name of the score file of a split."""
    return f"{split}.txt"


def write_scores(storage: Storage, shard: str, origin: Origin, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the file of a shard; it appears when it is whole."""
    metadata = json.dumps({"model": origin.model, "utterances": origin.utterances})
    table = pa.Table.from_pylist(list(rows), schema=SCORES_SCHEMA.with_metadata({_METADATA_KEY: metadata}))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    storage.write(scores_path(shard), sink.getvalue())


def is_scored(storage: Storage, shard: str, origin: Origin) -> bool:
    """Whether a shard's file is there, can be read, and is of this origin."""
    name = scores_path(shard)
    if not storage.exists(name):
        return False
    try:
        metadata = (_read(storage, name).schema.metadata or {}).get(_METADATA_KEY, b"null")
        return bool(json.loads(metadata) == {"model": origin.model, "utterances": origin.utterances})
    except (StoreError, ValueError):
        return False


def write_split(storage: Storage, split: str, shards: Iterable[str]) -> None:
    """Writes the score file of a split, with one shard in memory at a time: id, attack, label and score.

    Utterances without a score are left out.
    """
    with storage.create(split_path(split)) as file:
        for shard in shards:
            rows = [row for row in _read(storage, scores_path(shard)).to_pylist() if row["score"] is not None]
            text = format_scores(
                [row["utterance_id"] for row in rows],
                [row["score"] for row in rows],
                [row["attack_id"] or "-" for row in rows],
                [row["label"] for row in rows],
            )
            file.write(text.encode())


def count_problems(storage: Storage, shards: Iterable[str]) -> Counter[str]:
    """Number of utterances without a score by reason."""
    return Counter(problem.partition(":")[0] for shard in shards for problem in _problems(storage, shard))


def _problems(storage: Storage, shard: str) -> Iterator[str]:
    table = _read(storage, scores_path(shard))
    return (problem for problem in table["problem"].to_pylist() if problem is not None)


def _read(storage: Storage, name: str) -> pa.Table:
    try:
        return pq.ParquetFile(pa.BufferReader(storage.read(name)), pre_buffer=False).read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{storage.url_of(name)} is damaged: {error}; remove it and run the command again") from error
