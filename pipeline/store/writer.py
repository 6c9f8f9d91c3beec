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
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio.decode import Measures
from pipeline.errors import StoreError
from pipeline.frontends.log_mel import FRONT_END_VERSION
from pipeline.params import AugmentParams, FeatureParams
from pipeline.storage import Storage
from pipeline.store.counts import SplitCounts
from pipeline.store.reader import own_checksum, parse_part
from pipeline.store.records import Example, encode_example, frame
from pipeline.store.schema import (
    FORMAT_VERSION,
    INDEX_FOLDER,
    INDEX_SCHEMA,
    METADATA_KEY,
    REJECTS_SCHEMA,
    SPLITS,
    STORE_FILE,
    index_path,
    is_store_file,
    records_path,
    rejects_path,
    shard_of,
    shard_split,
)
from pipeline.store.sharding import Shard, Source, canonical_json, differences, digest, place_in_shard
from pipeline.store.statistics import FrameSums

_VERSIONED: Final = ("numba", "numpy", "pyarrow", "scipy", "soundfile", "soxr")
_PART_KEYS: Final = frozenset({"shard_fingerprint", "config", "files", "rejects", "frame_sums"})
# Reasons that lie in the surroundings, not in the file: the next run looks again.
_PASSING_REASONS: Final = frozenset({"missing", "unreadable", "changed"})


@dataclass(frozen=True)
class Config:
    """What decides the bytes of a store beside its utterances.

    Attributes:
        features: The front end, without what only judges the result.
        augment: The augmentation.
        versions: Of the format, the front end and the libraries that compute or encode values.
    """

    features: dict[str, Any]
    augment: dict[str, Any]
    versions: dict[str, Any]

    @classmethod
    def current(cls, features: FeatureParams, augment: AugmentParams) -> "Config":
        """The configuration of a run with these parameters and the installed libraries."""
        # A limit on rejects changes whether a run fails, not what it writes.
        return cls(
            features=features.model_dump(mode="json", exclude={"max_reject_fraction"}),
            augment=augment.model_dump(mode="json"),
            versions=installed_versions(),
        )

    def as_dict(self) -> dict[str, Any]:
        """The configuration as it stands in store.json and in every index part."""
        return {"features": self.features, "augment": self.augment, "versions": self.versions}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the configuration."""
        return digest(self.as_dict())


def installed_versions() -> dict[str, Any]:
    """Versions of the format, the front end and the libraries that compute or encode values, in this process."""
    return {
        "format": FORMAT_VERSION,
        "front_end": FRONT_END_VERSION,
        **{name: version(name) for name in _VERSIONED},
    }


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
    sums = FrameSums(config.features["n_mels"])
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
            rejects_path(shard.name): _described(rejects_bytes),
        },
        "rejects": len(rejects),
        "frame_sums": sums.as_dict(),
    }
    index = pa.Table.from_pylist(rows, schema=INDEX_SCHEMA)
    index = index.replace_schema_metadata({METADATA_KEY: canonical_json(metadata)})
    storage.write(index_path(shard.name), _parquet_bytes(index))
    return len(rejects)


@dataclass(frozen=True)
class Standing:
    """What a run finds when it begins.

    Attributes:
        pending: Shards to write.
        kept: Names of the shards that are already as they should be.
        stale: Names of files that belong to no shard of the plan, or to another configuration.
        changes: What differs from the configuration that wrote the store, as "features.n_mels 80 → 96".
        split_changes: Splits whose number of shards changed, as "train 8 → 16 shards".
    """

    pending: list[Shard]
    kept: list[str]
    stale: list[str]
    changes: list[str]
    split_changes: list[str]


def take_stock(storage: Storage, shards: Sequence[Shard], config: Config) -> Standing:
    """Compares the files of a store with the plan of a run. Changes nothing.

    Raises:
        StoreError: The folder holds files that are not a store's.
    """
    present = storage.list()
    foreign = [name for name in present if not is_store_file(name)]
    if foreign:
        raise StoreError(
            f"{storage.url} holds files that no feature store has, the first is {foreign[0]}; "
            "name another folder with --output, or move them away"
        )
    present_set = set(present)
    pending: list[Shard] = []
    kept: list[str] = []
    changes: list[str] = []
    planned: set[str] = {STORE_FILE}
    for shard in shards:
        planned.update((records_path(shard.name), index_path(shard.name), rejects_path(shard.name)))
        if index_path(shard.name) not in present_set:
            pending.append(shard)
            continue
        metadata = part_metadata(storage, shard.name)
        if metadata is None:
            pending.append(shard)
            continue
        changes = changes or differences(metadata["config"], config.as_dict())
        if _is_current(storage, metadata, shard, config):
            kept.append(shard.name)
        else:
            pending.append(shard)
    stale = [name for name in present if name not in planned]
    if not changes and not kept and stale:
        changes = _changes_of_stale(storage, stale, config)
    return Standing(pending, kept, stale, changes, _split_changes(present, shards))


def rejects_if_committed(storage: Storage, shard: Shard, config: Config) -> int | None:
    """How many utterances a shard that is already as a run wants it rejected; None where it is still to be written."""
    metadata = part_metadata(storage, shard.name)
    if metadata is None or not _is_current(storage, metadata, shard, config):
        return None
    return int(metadata["rejects"])


def sweep(storage: Storage, standing: Standing) -> None:
    """Removes what the run must not keep, before it begins: the store is incomplete, and no shard that is due counts."""
    if standing.pending or standing.stale:
        storage.delete(STORE_FILE)
    due = [index_path(shard.name) for shard in standing.pending]
    # Index parts first: a shard stops counting before its records go.
    for name in due + sorted(standing.stale, key=lambda name: not name.startswith(f"{INDEX_FOLDER}/")):
        storage.delete(name)
    if standing.changes:
        for shard in standing.pending:
            storage.delete(records_path(shard.name))
            storage.delete(rejects_path(shard.name))


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
        files[index_path(shard.name)] = _described(data)
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
    statistics = FrameSums.merged(sums, config.features["n_mels"])
    content = {
        "format_version": FORMAT_VERSION,
        "front_end_version": FRONT_END_VERSION,
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


def part_metadata(storage: Storage, shard: str) -> dict[str, Any] | None:
    """What a shard's index part says about the shard, or None where it cannot be read as a whole."""
    try:
        index = parse_part(storage.read(index_path(shard)), index_path(shard))
        metadata = json.loads(index.schema.metadata[METADATA_KEY])
    except (StoreError, KeyError, TypeError, ValueError):
        return None
    return metadata if isinstance(metadata, dict) and metadata.keys() >= _PART_KEYS else None


def _is_current(storage: Storage, metadata: Mapping[str, Any], shard: Shard, config: Config) -> bool:
    """Whether a committed shard is of these parameters and utterances, its files are there in full and its rejects stand.

    A file that only the surroundings kept from being read (missing, unreadable, changed) is looked at again, unless the
    manifest already said so.
    """
    if metadata["shard_fingerprint"] != shard.fingerprint(config.fingerprint):
        return False
    if any(
        not storage.exists(name) or storage.size(name) != entry["size"] for name, entry in metadata["files"].items()
    ):
        return False
    known = {source.utterance_id for source in shard.sources if source.problem is not None}
    data = storage.read(rejects_path(shard.name))
    if _described(data) != metadata["files"][rejects_path(shard.name)]:
        return False
    return not any(
        row["reason"] in _PASSING_REASONS and row["utterance_id"] not in known
        for row in parse_part(data, rejects_path(shard.name)).to_pylist()
    )


def _changes_of_stale(storage: Storage, stale: Iterable[str], config: Config) -> list[str]:
    for name in stale:
        if name.startswith(f"{INDEX_FOLDER}/"):
            metadata = part_metadata(storage, shard_of(name))
            if metadata is not None:
                return differences(metadata["config"], config.as_dict())
    return []


def _split_changes(present: Iterable[str], shards: Sequence[Shard]) -> list[str]:
    found: dict[str, set[int]] = {}
    for name in present:
        if name.startswith(f"{INDEX_FOLDER}/"):
            shard = shard_of(name)
            found.setdefault(shard_split(shard), set()).add(int(shard.rsplit("-", 1)[1]))
    planned = Counter(shard.split for shard in shards)
    return [
        f"{split} {max(counts)} → {planned[split]} shards"
        for split, counts in sorted(found.items(), key=lambda item: SPLITS.index(item[0]))
        if planned[split] not in counts
    ]


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


def _described(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _parquet_bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
