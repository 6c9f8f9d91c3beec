"""Writing one shard: its records, then its rejects, then the index part that commits it.

A shard without its index part does not count, so a killed writer leaves nothing to repair.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.audio.measures import Measures
from pipeline.corpus.schema import SPOOF
from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.digests import canonical_json, file_entry
from pipeline.store.lineage import Config
from pipeline.store.parts import encode_part, with_metadata
from pipeline.store.records import Example, encode_example, frame
from pipeline.store.schema import INDEX_SCHEMA, REJECTS_SCHEMA, index_path, records_path, rejects_path
from pipeline.store.sharding import Shard, Source, place_in_shard
from pipeline.store.statistics import FrameSums


@dataclass(frozen=True)
class Twin:
    """What makes an example a twin: bona fide speech resynthesised, so it is spoof.

    Attributes:
        of: Number of the copy whose twin it is.
        attack_id: The kind of copy-synthesis, such as "CS-lpc".
    """

    of: int
    attack_id: str


@dataclass(frozen=True)
class StoredExample:
    """An example to be stored, with the values of its index row.

    Attributes:
        source: Its utterance.
        copy: 0 for the original, 1 and up for augmented copies, then twins.
        features: float16 [n_frames, n_bins], in dB.
        augmentation: The drawn values; empty for an original.
        duration_s: Duration of the example in seconds.
        source_duration_s: Duration of the audio file in seconds.
        measures: Silences, level, peak and band edge of the example.
        decoder: What read the audio file, one of `pipeline.corpus.schema.DECODERS`.
        twin: What makes it a twin; None for an original or an augmented copy.
    """

    source: Source
    copy: int
    features: np.ndarray[Any, np.dtype[np.float16]]
    augmentation: dict[str, Any]
    duration_s: float
    source_duration_s: float
    measures: Measures
    decoder: str
    twin: Twin | None = None

    @property
    def label(self) -> int | None:
        """Its label: that of the utterance, and spoof for a twin."""
        return self.source.label if self.twin is None else SPOOF

    @property
    def attack_id(self) -> str | None:
        """Its attack: that of the utterance or of the twin."""
        return self.source.attack_id if self.twin is None else self.twin.attack_id


@dataclass(frozen=True)
class Reject:
    """An utterance that cannot be used, with a reason from `REJECT_REASONS`."""

    source: Source
    reason: str
    detail: str


def write_shard(storage: Storage, shard: Shard, config: Config, items: Iterable[StoredExample | Reject]) -> int:
    """Writes and commits one shard: records, then rejects, then the index part that makes it count.

    Args:
        storage: Storage of the store.
        shard: Name and utterances of the shard.
        config: Configuration of the run.
        items: Every example and reject of the shard, in any order. They are taken while the records file is open under its
            temporary name, which tells that the shard is in work. All are in memory at once: at most a shard's size.

    Returns:
        The number of rejected utterances.

    Raises:
        StoreError: A file cannot be written, or an utterance is neither stored nor rejected.
    """
    sums = FrameSums(config.n_bins)
    checksum = hashlib.sha256()
    examples: list[StoredExample] = []
    rejects: list[Reject] = []
    rows: list[dict[str, Any]] = []
    offset = 0
    with storage.create(records_path(shard.name)) as file:
        for item in items:
            (examples if isinstance(item, StoredExample) else rejects).append(item)  # type: ignore[arg-type]
        _require_all_accounted(shard, examples, rejects)
        examples.sort(key=lambda item: place_in_shard(shard.split, item.source.utterance_id, item.copy))
        for example in examples:
            record = frame(encode_example(_as_example(example)))
            file.write(record)
            checksum.update(record)
            rows.append(_index_row(shard, example, offset, len(record)))
            offset += len(record)
            if example.copy == 0 and shard.split == "train":
                sums.add(example.features)
    rejects_bytes = encode_part(pa.Table.from_pylist(_reject_rows(shard, rejects), schema=REJECTS_SCHEMA))
    storage.write(rejects_path(shard.name), rejects_bytes)
    metadata = {
        "shard_fingerprint": shard.fingerprint(config.fingerprint),
        "config": config.as_dict(),
        "files": {
            records_path(shard.name): {"size": offset, "sha256": checksum.hexdigest()},
            rejects_path(shard.name): file_entry(rejects_bytes),
        },
        "rejects": len(rejects),
        "frame_sums": sums.as_dict(),
    }
    index = with_metadata(pa.Table.from_pylist(rows, schema=INDEX_SCHEMA), metadata)
    storage.write(index_path(shard.name), encode_part(index))
    return len(rejects)


def _require_all_accounted(shard: Shard, examples: Iterable[StoredExample], rejects: Iterable[Reject]) -> None:
    expected = Counter(source.utterance_id for source in shard.sources)
    found = Counter(item.source.utterance_id for item in examples if item.copy == 0)
    found.update(item.source.utterance_id for item in rejects)
    wrong = sorted((expected - found) + (found - expected))
    if wrong:
        raise StoreError(
            f"{shard.name}: {len(wrong)} utterances are not stored or rejected exactly once, such as {wrong[0]}"
        )


def _as_example(item: StoredExample) -> Example:
    source = item.source
    return Example(source.utterance_id, source.speaker_id, item.attack_id, item.label, item.copy, item.features)


def _index_row(shard: Shard, item: StoredExample, offset: int, length: int) -> dict[str, Any]:
    return {
        "utterance_id": item.source.utterance_id,
        "split": shard.split,
        "speaker_id": item.source.speaker_id,
        "attack_id": item.attack_id,
        "label": item.label,
        "fields": item.source.fields,
        "copy": item.copy,
        "twin_of": None if item.twin is None else item.twin.of,
        "augmentation": canonical_json(item.augmentation).decode(),
        "duration_s": item.duration_s,
        **asdict(item.measures),
        "source_duration_s": item.source_duration_s,
        "decoder": item.decoder,
        "n_frames": item.features.shape[0],
        "shard": shard.name,
        "offset": offset,
        "length": length,
        "sha256": item.source.sha256,
    }


def _reject_rows(shard: Shard, rejects: Iterable[Reject]) -> list[dict[str, Any]]:
    return [
        {
            "utterance_id": reject.source.utterance_id,
            "split": shard.split,
            "attack_id": reject.source.attack_id,
            "label": reject.source.label,
            "path": reject.source.path,
            "reason": reject.reason,
            "detail": reject.detail,
        }
        for reject in sorted(rejects, key=lambda reject: reject.source.utterance_id)
    ]
