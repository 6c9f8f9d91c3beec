"""Writing a feature store: a worker commits shards, the main process decides which are due and closes the store.

A shard counts once its index part is there, and that is written last; the store is complete once `store.json` is there.
Whatever is decided here depends on the files found, never on a memory of earlier runs, so a killed run needs no repair.
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio.measures import Measures
from pipeline.corpus.schema import SPLITS
from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.counts import SplitCounts
from pipeline.store.lineage import Config, canonical_json, described
from pipeline.store.reader import own_checksum, parse_part
from pipeline.store.records import Example, encode_example, frame
from pipeline.store.schema import (
    FORMAT_VERSION,
    INDEX_SCHEMA,
    METADATA_KEY,
    REJECTS_SCHEMA,
    STORE_FILE,
    index_path,
    records_path,
    rejects_path,
)
from pipeline.store.sharding import Shard, Source, place_in_shard
from pipeline.store.statistics import FrameSums


@dataclass(frozen=True)
class StoredExample:
    """An example on its way into a shard, with what the index says about it."""

    source: Source
    copy: int
    features: np.ndarray[Any, np.dtype[np.float16]]
    augmentation: dict[str, Any]
    duration_s: float
    source_duration_s: float
    measures: Measures


@dataclass(frozen=True)
class Reject:
    """An utterance that cannot be used, with a reason from `REJECT_REASONS`."""

    source: Source
    reason: str
    detail: str


def write_shard(storage: Storage, shard: Shard, config: Config, items: Iterable[StoredExample | Reject]) -> int:
    """Writes and commits one shard: records, then rejects, then the index part that makes it count.

    Args:
        storage: Of the store.
        shard: Its name and utterances.
        config: Of the run.
        items: Every example and reject of the shard, in any order. Consumed while the records file is already open under
            its temporary name, so an unfinished shard can be told by it; held in memory at once, bounded by a shard's size.

    Returns:
        How many utterances were rejected.

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
    rejects_bytes = _parquet_bytes(pa.Table.from_pylist(_reject_rows(shard, rejects), schema=REJECTS_SCHEMA))
    storage.write(rejects_path(shard.name), rejects_bytes)
    metadata = {
        "shard_fingerprint": shard.fingerprint(config.fingerprint),
        "config": config.as_dict(),
        "files": {
            records_path(shard.name): {"size": offset, "sha256": checksum.hexdigest()},
            rejects_path(shard.name): described(rejects_bytes),
        },
        "rejects": len(rejects),
        "frame_sums": sums.as_dict(),
    }
    index = pa.Table.from_pylist(rows, schema=INDEX_SCHEMA)
    index = index.replace_schema_metadata({METADATA_KEY: canonical_json(metadata)})
    storage.write(index_path(shard.name), _parquet_bytes(index))
    return len(rejects)


def close_store(storage: Storage, shards: Sequence[Shard], config: Config) -> dict[str, Any]:
    """Checks that every shard is there and every utterance accounted for, and writes store.json.

    Returns:
        The content of store.json.

    Raises:
        StoreError: A shard is missing or the counts do not add up.
    """
    files: dict[str, dict[str, Any]] = {}
    sums: list[Mapping[str, Any]] = []
    splits = {split: SplitCounts() for split in SPLITS}
    parts = storage.read_each(index_path(shard.name) for shard in shards)
    for shard, data in zip(shards, parts, strict=True):
        index = parse_part(data, storage.url_of(index_path(shard.name)))
        metadata = json.loads(index.schema.metadata[METADATA_KEY])
        if metadata["shard_fingerprint"] != shard.fingerprint(config.fingerprint):
            raise StoreError(
                f"{shard.name} was written with other parameters or by another run; run `bonafide features` again"
            )
        files[index_path(shard.name)] = described(data)
        files.update(metadata["files"])
        sums.append(metadata["frame_sums"])
        splits[shard.split].add(index, metadata["rejects"], metadata["files"][records_path(shard.name)]["size"])
    utterances = {split: sum(len(shard.sources) for shard in shards if shard.split == split) for split in SPLITS}
    for split, counts in splits.items():
        if counts.utterances != utterances[split]:
            raise StoreError(
                f"{storage.url}: {counts.utterances} utterances of {split} are stored or rejected, but it has "
                f"{utterances[split]}; run `bonafide store verify` to see where they differ"
            )
    statistics = FrameSums.merged(sums, config.n_bins)
    content = {
        "format_version": FORMAT_VERSION,
        "front_end_version": config.versions["front_end"],
        "config_fingerprint": config.fingerprint,
        "parameters": {"features": config.features, "augment": config.augment},
        "versions": config.versions,
        "splits": {split: counts.as_dict() for split, counts in splits.items()},
        "statistics": {
            "mean": statistics.mean.tolist(),
            "deviation": statistics.deviation.tolist(),
            "n_frames": statistics.n_frames,
        },
        "files": files,
    }
    content["sha256"] = own_checksum(content)
    data = canonical_json(content)
    # A store that is already as it should be keeps its file, so a run without work changes nothing.
    if not (storage.exists(STORE_FILE) and storage.read(STORE_FILE) == data):
        storage.write(STORE_FILE, data)
    return content


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
    return Example(source.utterance_id, source.speaker_id, source.attack_id, source.label, item.copy, item.features)


def _index_row(shard: Shard, item: StoredExample, offset: int, length: int) -> dict[str, Any]:
    return {
        "utterance_id": item.source.utterance_id,
        "split": shard.split,
        "speaker_id": item.source.speaker_id,
        "attack_id": item.source.attack_id,
        "label": item.source.label,
        "copy": item.copy,
        "augmentation": canonical_json(item.augmentation).decode(),
        "duration_s": item.duration_s,
        **asdict(item.measures),
        "source_duration_s": item.source_duration_s,
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


def _parquet_bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
