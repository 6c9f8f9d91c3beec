"""The format of a feature store: names of its files and shards, columns of its tables, its version.

What this module says is the format. A change that gives other bytes for the same input raises `FORMAT_VERSION` (layout,
records, tables) or the `version` of each front end that it concerns (values), which makes every older store stale. Decoding,
measures and augmentation concern all of them.
"""

import re
from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from pipeline.corpus.schema import SPLITS

FORMAT_VERSION: Final = 3

STORE_FILE: Final = "store.json"
INDEX_FOLDER: Final = "index"
REJECTS_FOLDER: Final = "rejects"

METADATA_KEY: Final = b"bonafide"
"""Key of an index part's schema metadata; the value is a JSON object about its shard."""

INDEX_SCHEMA: Final = pa.schema(
    [
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("speaker_id", pa.string()),
        pa.field("attack_id", pa.string()),
        pa.field("label", pa.int64()),
        pa.field("fields", pa.string()),
        pa.field("copy", pa.int64(), nullable=False),
        pa.field("twin_of", pa.int32()),
        pa.field("augmentation", pa.string(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("leading_silence_s", pa.float64(), nullable=False),
        pa.field("trailing_silence_s", pa.float64(), nullable=False),
        pa.field("source_duration_s", pa.float64(), nullable=False),
        pa.field("decoder", pa.string(), nullable=False),
        pa.field("level_db", pa.float64(), nullable=False),
        pa.field("peak_db", pa.float64(), nullable=False),
        pa.field("band_edge_hz", pa.float64(), nullable=False),
        pa.field("n_frames", pa.int64(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
    ]
)
"""One row per example, in the order of the shard.

`fields` is that of the manifest: the other fields of the protocol as a JSON object, null where it has none.
`offset` and `length` are those of the whole TFRecord frame in bytes; durations and silences are those of the stored example
in seconds, `source_duration_s` that of the audio file; `level_db` is the RMS and `peak_db` the largest sample of the
example in dB relative to full scale; `band_edge_hz` is the frequency below which 99.9 % of the energy lies;
`decoder` is what read the audio file, one of `DECODERS`;
`augmentation` is a JSON object with the drawn values, `{}` for an original; `twin_of` is the number of the copy whose twin by
copy-synthesis a row is, null for every other row. A twin has the label of spoof and an attack that begins with `CS-`."""

REJECTS_SCHEMA: Final = pa.schema(
    [
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("attack_id", pa.string()),
        pa.field("label", pa.int64()),
        pa.field("path", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
"""One row per utterance that is in the manifest and not in the index, with a reason from `REJECT_REASONS`."""

_STORE_FILES: Final = re.compile(
    r"store\.json|(train|dev|eval)/\1-\d{5}-of-\d{5}\.tfrecord|(index|rejects)/(train|dev|eval)-\d{5}-of-\d{5}\.parquet"
)


def shard_name(split: str, number: int, count: int) -> str:
    """The name that a shard's three files share, such as "train-00003-of-00016"."""
    return f"{split}-{number:05d}-of-{count:05d}"


def shard_split(shard: str) -> str:
    """The split of a shard, from its name."""
    return shard.split("-", 1)[0]


def shard_position(shard: str) -> tuple[int, int]:
    """The number of a shard in its split, from 0, and the split's number of shards, from its name."""
    _, number, _, count = shard.split("-")
    return int(number), int(count)


def in_order(shards: Iterable[str]) -> list[str]:
    """Shard names in the order of the store: by split, then by number."""
    return sorted(shards, key=lambda shard: (SPLITS.index(shard_split(shard)), shard))


def records_path(shard: str) -> str:
    """Path of a shard's TFRecord file, relative to the store."""
    return f"{shard_split(shard)}/{shard}.tfrecord"


def index_path(shard: str) -> str:
    """Path of a shard's part of the index, relative to the store."""
    return f"{INDEX_FOLDER}/{shard}.parquet"


def rejects_path(shard: str) -> str:
    """Path of a shard's part of the rejects, relative to the store."""
    return f"{REJECTS_FOLDER}/{shard}.parquet"


def shard_files(shard: str) -> tuple[str, str, str]:
    """Paths of a shard's three files, relative to the store."""
    return records_path(shard), rejects_path(shard), index_path(shard)


def is_store_file(path: str) -> bool:
    """Whether a path relative to the store is that of one of a store's files."""
    return _STORE_FILES.fullmatch(path) is not None


def shard_of(path: str) -> str:
    """The shard that one of its three files belongs to."""
    return path.rpartition("/")[2].rpartition(".")[0]
