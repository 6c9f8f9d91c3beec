"""Counts of what a store holds, from its tables: per split for store.json and `verify`, per attack for people."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_name

_ROWS_AT_ONCE: Final = 4096

COUNTED: Final = ("copy", "label", "duration_s", "decoder")
"""The columns of the index that are counted."""


@dataclass
class SplitCounts:
    """What a split holds. Shards are added in the order of their names, on which the sum of durations depends.

    Attributes:
        shards: Shards, including those without utterances.
        utterances: Utterances, stored or rejected.
        examples: Originals, augmented copies and twins.
        rejects: Utterances that could not be used.
        bona_fide: Originals that are bona fide.
        spoof: Originals that are spoof.
        unlabelled: Originals without a label.
        beyond_range: Originals of FLAC files with samples one step above full scale, which libFLAC refuses.
        duration_s: Duration of all originals in seconds.
        record_bytes: Size of the TFRecord files.
    """

    shards: int = 0
    utterances: int = 0
    examples: int = 0
    rejects: int = 0
    bona_fide: int = 0
    spoof: int = 0
    unlabelled: int = 0
    beyond_range: int = 0
    duration_s: float = 0.0
    record_bytes: int = 0

    def add(self, index: pa.Table, rejects: int, record_bytes: int) -> None:
        """Adds a shard.

        Args:
            index: Rows of its index part, at least with the `COUNTED` columns.
            rejects: Number of its rejects.
            record_bytes: Size of its TFRecord file.
        """
        columns = (index[name].to_pylist() for name in COUNTED)
        originals = [values for copy, *values in zip(*columns, strict=True) if copy == 0]
        self.shards += 1
        self.utterances += len(originals) + rejects
        self.examples += index.num_rows
        self.rejects += rejects
        self.record_bytes += record_bytes
        for label, duration_s, decoder in originals:
            self.bona_fide += label == BONA_FIDE
            self.spoof += label == SPOOF
            self.unlabelled += label is None
            self.beyond_range += decoder == "flac_beyond_range"
            self.duration_s += duration_s

    def as_dict(self) -> dict[str, Any]:
        """The counts as store.json states them."""
        return asdict(self)


def attack_counts(index: pa.Table) -> dict[str, Counter[str]]:
    """Counts originals by attack and split; bona fide and unlabelled clips come first, then attacks by name.

    Args:
        index: Rows of the index; copies are left out.
    """
    counts: dict[str, Counter[str]] = {}
    for batch in index.select(["split", "attack_id", "label", "copy"]).to_batches(max_chunksize=_ROWS_AT_ONCE):
        for split, attack_id, label, copy in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if copy == 0:
                name = (attack_id or "unnamed attack") if label == SPOOF else label_name(label)
                counts.setdefault(name, Counter())[split] += 1
    first = (label_name(BONA_FIDE), label_name(None))
    return dict(sorted(counts.items(), key=lambda item: (item[0] not in first, item[0])))


def twin_counts(index: pa.Table) -> dict[str, int]:
    """Counts twins by attack, such as "CS-lpc", sorted by name; empty where the store has none."""
    attacks = index["attack_id"].filter(pc.is_valid(index["twin_of"]))
    values, counts = attacks.value_counts().flatten()
    return dict(sorted(zip(values.to_pylist(), counts.to_pylist(), strict=True)))
