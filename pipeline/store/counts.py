"""How much a split holds, counted from its shards' tables: by the writer for store.json, and again by `verify`."""

from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from pipeline.corpus.schema import BONA_FIDE, SPOOF


@dataclass
class SplitCounts:
    """What a split holds. Shards are added in the order of their names: the sum of durations depends on it.

    Attributes:
        shards: Also the empty ones.
        utterances: Stored or rejected.
        examples: Originals and augmented copies.
        rejects: Utterances that could not be used.
        bona_fide: Originals of real speech.
        spoof: Originals of fake speech.
        unlabelled: Originals of neither.
        duration_s: Of the originals, in seconds.
        record_bytes: Size of the TFRecord files.
    """

    shards: int = 0
    utterances: int = 0
    examples: int = 0
    rejects: int = 0
    bona_fide: int = 0
    spoof: int = 0
    unlabelled: int = 0
    duration_s: float = 0.0
    record_bytes: int = 0

    def add(self, index: pa.Table, rejects: int, record_bytes: int) -> None:
        """Adds a shard: the rows of its index part, its number of rejects, the size of its records in bytes."""
        columns = (index[name].to_pylist() for name in ("copy", "label", "duration_s"))
        originals = [(label, duration_s) for copy, label, duration_s in zip(*columns, strict=True) if copy == 0]
        self.shards += 1
        self.utterances += len(originals) + rejects
        self.examples += index.num_rows
        self.rejects += rejects
        self.record_bytes += record_bytes
        for label, duration_s in originals:
            self.bona_fide += label == BONA_FIDE
            self.spoof += label == SPOOF
            self.unlabelled += label is None
            self.duration_s += duration_s

    def as_dict(self) -> dict[str, Any]:
        """The counts as they stand in store.json."""
        return asdict(self)
