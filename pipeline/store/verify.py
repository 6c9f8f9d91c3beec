"""Checking every promise of a feature store against its bytes: what was written is there, whole, once, and adds up.

Every byte of every file is read once, in blocks, so memory is bounded by the tables of a shard and by the ids of the store.
store.json holds the SHA-256 of every file and of itself, so any changed, cut or added byte is found; records are looked at
one by one to say where.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.corpus.schema import REJECT_REASONS, SPLITS
from pipeline.errors import ParamsError, StoreError
from pipeline.storage import Storage
from pipeline.store.counts import SplitCounts
from pipeline.store.lineage import canonical_json, digest
from pipeline.store.reader import own_checksum, parse_part, stored_features
from pipeline.store.records import FRAME_BYTES, HEADER_BYTES, Example, decode_example, payload_length, unframe
from pipeline.store.schema import (
    FORMAT_VERSION,
    INDEX_SCHEMA,
    METADATA_KEY,
    REJECTS_SCHEMA,
    STORE_FILE,
    index_path,
    is_store_file,
    records_path,
    rejects_path,
    shard_of,
    shard_split,
)
from pipeline.store.sharding import Shard, cut, place_in_shard, shard_number
from pipeline.store.statistics import FrameSums

MOST_FINDINGS_PER_FILE: Final = 20
"""A file that is wrong all over is told in this many lines."""

_BLOCK_BYTES: Final = 4 << 20
# Sums in float64 in a fixed order are equal where they were made; another CPU may differ in the last digits.
_RELATIVE_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        shard: Name of the shard; empty for what concerns the store as a whole.
        file: Relative to the store.
        text: What is wrong.
    """

    shard: str
    file: str
    text: str


def verify(
    url: Storage | str | Path,
    manifest: pa.Table | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    workers: int = 1,
) -> list[Finding]:
    """Checks a feature store in full.

    Args:
        url: Local folder or `s3://bucket/prefix`.
        manifest: Table with the columns of `MANIFEST_SCHEMA` that the store was made from; None checks the store against
            itself alone.
        on_progress: Called with the number of shards checked so far and in all.
        workers: Threads, each with a shard of its own.

    Returns:
        What is wrong, sorted by shard and file; an intact store gives none.

    Raises:
        StoreError: There is no store at all.
    """
    storage = url if isinstance(url, Storage) else Storage.open(url)
    present = storage.list()
    if not any(is_store_file(name) for name in present):
        raise StoreError(f"{storage.url}: no feature store; make one with `bonafide features`")
    whole = _Notes("")
    info = _check_store_file(storage, whole)
    named = set(info["files"]) if info else set()
    _check_strays(present, storage.leftovers(), named, whole)
    shards = sorted(
        {shard_of(name) for name in named.union(filter(is_store_file, present)) if name != STORE_FILE},
        key=lambda shard: (SPLITS.index(shard_split(shard)), shard),
    )
    own = [shard for shard in shards if not named or index_path(shard) in named]
    planned = _plan(manifest, own) if manifest is not None else None

    def check(shard: str) -> _Checked:
        return _ShardCheck(storage, shard, info, None if planned is None else planned.get(shard)).run()

    checked: list[_Checked] = []
    with ThreadPoolExecutor(workers) as pool:
        for result in pool.map(check, shards):
            checked.append(result)
            on_progress(len(checked), len(shards))
    _check_ids(checked, whole)
    if info is not None:
        _check_sums(info, [result for result in checked if result.shard in own], whole)
    if planned is not None:
        for shard in planned.keys() - set(shards):
            whole.add(STORE_FILE, f"the manifest has utterances of {shard}, the store has no such shard")
    return sorted([*whole.findings(), *(finding for result in checked for finding in result.findings)])


class _Notes:
    """Collects findings of one shard."""

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self._texts: dict[str, list[str]] = {}

    def add(self, file: str, text: str) -> None:
        self._texts.setdefault(file, []).append(text)

    def findings(self) -> Iterator[Finding]:
        for file, texts in self._texts.items():
            for text in texts[:MOST_FINDINGS_PER_FILE]:
                yield Finding(self._shard, file, text)
            if len(texts) > MOST_FINDINGS_PER_FILE:
                yield Finding(self._shard, file, f"and {len(texts) - MOST_FINDINGS_PER_FILE} more findings")


@dataclass
class _Checked:
    """What the store as a whole needs of a checked shard; None where it could not be told."""

    shard: str
    findings: list[Finding] = field(default_factory=list)
    utterance_ids: list[str] = field(default_factory=list)
    index: pa.Table | None = None
    n_rejects: int | None = None
    record_bytes: int | None = None
    frame_sums: Mapping[str, Any] | None = None


class _ShardCheck:
    """Checks one shard: index part and rejects, then the records against the index."""

    def __init__(self, storage: Storage, shard: str, info: Mapping[str, Any] | None, planned: Shard | None) -> None:
        self._storage = storage
        self._shard = shard
        self._split = shard_split(shard)
        self._info = info
        self._planned = planned
        self._notes = _Notes(shard)
        self._entries: Mapping[str, Any] = info["files"] if info else {}
        self._n_bins = stored_features(info, storage.url).n_bins if info else None

    def run(self) -> _Checked:
        index = self._table(index_path(self._shard), INDEX_SCHEMA)
        metadata = None if index is None else self._metadata(index)
        rejects = self._table(rejects_path(self._shard), REJECTS_SCHEMA)
        rows = None if index is None else index.to_pylist()
        rejected = None if rejects is None else rejects.to_pylist()
        if rows is not None:
            self._check_rows(rows)
        if rejected is not None:
            self._check_rejects(rejected)
        if rows is not None and rejected is not None:
            self._check_accounted(rows, rejected)
        sums, record_bytes = self._check_records(rows)
        if metadata is not None and sums is not None and not _same_sums(metadata["frame_sums"], sums.as_dict()):
            self._notes.add(index_path(self._shard), "the sums over its frames are not those of its records")
        if metadata is not None and rejects is not None and metadata["rejects"] != rejects.num_rows:
            self._notes.add(
                index_path(self._shard),
                f"it counts {metadata['rejects']} rejects, {rejects_path(self._shard)} has {rejects.num_rows}",
            )
        if metadata is not None and rows is not None and self._planned is not None:
            self._check_planned(metadata, rows, rejected or [])
        return _Checked(
            shard=self._shard,
            findings=list(self._notes.findings()),
            utterance_ids=sorted({row["utterance_id"] for row in [*(rows or ()), *(rejected or ())]}),
            index=None if index is None else index.select(["copy", "label", "duration_s"]),
            n_rejects=None if rejects is None else rejects.num_rows,
            record_bytes=record_bytes,
            frame_sums=None if sums is None else sums.as_dict(),
        )

    def _table(self, name: str, schema: pa.Schema) -> pa.Table | None:
        """Reads a part of the tables; one that is not what store.json names is not looked into."""
        try:
            data = self._storage.read(name)
        except StoreError as error:
            self._notes.add(name, str(error))
            return None
        if not self._check_file(name, len(data), hashlib.sha256(data).hexdigest()):
            return None
        try:
            table = parse_part(data, name)
        except StoreError as error:
            self._notes.add(name, str(error))
            return None
        if not table.schema.equals(schema):
            self._notes.add(name, "its columns are not those of this format version")
            return None
        return table

    def _check_file(self, name: str, size: int, sha256: str) -> bool:
        entry = self._entries.get(name)
        if entry is None:  # a stray, which is told of the store, or a store.json that cannot be trusted
            return True
        if size != entry["size"]:
            self._notes.add(name, f"it has {size} bytes, {STORE_FILE} says {entry['size']}")
        elif sha256 != entry["sha256"]:
            self._notes.add(name, f"its SHA-256 is {sha256[:12]}…, {STORE_FILE} says {entry['sha256'][:12]}…")
        else:
            return True
        return False

    def _metadata(self, index: pa.Table) -> Mapping[str, Any] | None:
        name = index_path(self._shard)
        try:
            metadata: dict[str, Any] = json.loads(index.schema.metadata[METADATA_KEY])
            files, config = metadata["files"], digest(metadata["config"])
            absent = {"rejects", "frame_sums", "shard_fingerprint"} - metadata.keys()
            if absent:
                raise KeyError(", ".join(sorted(absent)))
        except (KeyError, TypeError, ValueError) as error:
            self._notes.add(name, f"what it says about its shard cannot be read: {error!r}")
            return None
        if self._info is None:
            self._entries = files
            return metadata
        for file, entry in files.items():
            if entry != self._entries.get(file, entry):
                self._notes.add(name, f"it names another {file} than {STORE_FILE} does")
        if config != self._info["config_fingerprint"]:
            self._notes.add(name, "it was written with other parameters or versions than the store")
        return metadata

    def _check_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        name = index_path(self._shard)
        count = int(self._shard.rpartition("-")[2])
        number = int(self._shard.split("-")[1])
        keys = Counter((row["utterance_id"], row["copy"]) for row in rows)
        for (utterance_id, copy), times in keys.items():
            if times > 1:
                self._notes.add(name, f"{utterance_id} copy {copy} stands {times} times")
        places = [place_in_shard(self._split, row["utterance_id"], row["copy"]) for row in rows]
        if places != sorted(places):
            self._notes.add(name, "its rows are not in the order of the format")
        for row in rows:
            if row["shard"] != self._shard or row["split"] != self._split:
                self._notes.add(name, f"{row['utterance_id']} is said to be in {row['shard']} of {row['split']}")
            elif shard_number(self._split, row["utterance_id"], count) != number:
                self._notes.add(name, f"{row['utterance_id']} belongs to another shard")
        copies = 1 + (self._info["parameters"]["augment"]["copies"] if self._info and self._split == "train" else 0)
        if self._info:
            found: dict[str, set[int]] = {}
            for row in rows:
                found.setdefault(row["utterance_id"], set()).add(row["copy"])
            for utterance_id, numbers in found.items():
                if numbers != set(range(copies)):
                    self._notes.add(name, f"{utterance_id} has copies {sorted(numbers)}, expected 0 to {copies - 1}")

    def _check_rejects(self, rows: Sequence[Mapping[str, Any]]) -> None:
        name = rejects_path(self._shard)
        for row in rows:
            if row["reason"] not in REJECT_REASONS:
                self._notes.add(name, f"{row['utterance_id']}: unknown reason {row['reason']!r}")
            if row["split"] != self._split:
                self._notes.add(name, f"{row['utterance_id']} is said to be of {row['split']}")
        for utterance_id, times in Counter(row["utterance_id"] for row in rows).items():
            if times > 1:
                self._notes.add(name, f"{utterance_id} stands {times} times")

    def _check_accounted(self, rows: Iterable[Mapping[str, Any]], rejected: Iterable[Mapping[str, Any]]) -> None:
        both = {row["utterance_id"] for row in rows} & {row["utterance_id"] for row in rejected}
        for utterance_id in sorted(both):
            self._notes.add(rejects_path(self._shard), f"{utterance_id} is rejected, but stored as well")

    def _check_records(self, rows: Sequence[Mapping[str, Any]] | None) -> tuple[FrameSums | None, int | None]:
        """Reads the records; gives their sums where every one is intact, and the size of the file."""
        name = records_path(self._shard)
        try:
            stream = _Stream(self._storage, name)
            sums = None
            if rows is None:
                self._walk_alone(stream)
            else:
                sums = self._walk(stream, rows)
            stream.drain()
        except StoreError as error:
            self._notes.add(name, str(error))
            return None, None
        if not self._check_file(name, stream.size, stream.sha256):
            return None, None
        return sums, stream.size

    def _walk(self, stream: "_Stream", rows: Sequence[Mapping[str, Any]]) -> FrameSums | None:
        """Compares every record with its row."""
        name = records_path(self._shard)
        sums: FrameSums | None = None
        intact = True
        for row in rows:
            who = f"{row['utterance_id']} copy {row['copy']} at byte {row['offset']}"
            if row["offset"] != stream.position or row["length"] < FRAME_BYTES:
                self._notes.add(
                    index_path(self._shard),
                    f"{who}: the record before it ends at byte {stream.position}, its own length is {row['length']}",
                )
                return None
            record = stream.take(row["length"])
            if len(record) < row["length"]:
                self._notes.add(name, f"{who}: the file ends after {len(record)} of its {row['length']} bytes")
                return None
            try:
                example = decode_example(unframe(record))
            except StoreError as error:
                self._notes.add(name, f"{who}: {error}")
                intact = False
                continue
            for text in _disagreements(example, row, self._n_bins):
                self._notes.add(name, f"{who}: {text}")
            sums = sums or FrameSums(example.features.shape[1])
            if self._counts(example) and len(sums.total) == example.features.shape[1]:
                sums.add(example.features)
        if stream.position < stream.size:
            self._notes.add(name, f"{stream.size - stream.position} bytes after the last record of the index")
            return None
        if not intact:
            return None
        return sums or FrameSums(self._n_bins or 1)

    def _walk_alone(self, stream: "_Stream") -> None:
        """Checks the records of a shard whose index is of no use by their own frames."""
        name = records_path(self._shard)
        while stream.position < stream.size:
            where = f"the record at byte {stream.position}"
            header = stream.take(HEADER_BYTES)
            try:
                record = header + stream.take(payload_length(header) + FRAME_BYTES - HEADER_BYTES)
                example = decode_example(unframe(record))
            except StoreError as error:
                self._notes.add(name, f"{where}: {error}")
                return
            if not np.isfinite(example.features).all():
                self._notes.add(name, f"{where}: {example.utterance_id} has values that are not finite")

    def _counts(self, example: Example) -> bool:
        return self._split == "train" and example.copy == 0

    def _check_planned(
        self,
        metadata: Mapping[str, Any],
        rows: Sequence[Mapping[str, Any]],
        rejected: Sequence[Mapping[str, Any]],
    ) -> None:
        """Compares the shard with the manifest: every utterance stored or rejected, with the manifest's labels."""
        assert self._planned is not None
        name = index_path(self._shard)
        wanted = {source.utterance_id: source for source in self._planned.sources}
        found = {row["utterance_id"]: row for row in [*rejected, *rows]}
        for utterance_id in sorted(wanted.keys() - found.keys()):
            self._notes.add(name, f"{utterance_id} of the manifest is neither stored nor rejected")
        for utterance_id in sorted(found.keys() - wanted.keys()):
            self._notes.add(name, f"{utterance_id} is not in the manifest")
        for row in rows:
            source = wanted.get(row["utterance_id"])
            for column in ("label", "attack_id", "speaker_id", "sha256"):
                if source is not None and row[column] != getattr(source, column):
                    expected = getattr(source, column)
                    self._notes.add(
                        name, f"{row['utterance_id']}: {column} is {row[column]!r}, the manifest says {expected!r}"
                    )
        if metadata["shard_fingerprint"] != self._planned.fingerprint(digest(metadata["config"])):
            self._notes.add(name, "it was made from other utterances, audio or labels than the manifest's")


class _Stream:
    """A file read once from start to end in blocks, hashed on the way."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._hash = hashlib.sha256()
        self._buffer = b""
        self._read = 0
        self.size = storage.size(name)
        self.position = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def take(self, length: int) -> bytes:
        """The next `length` bytes, or those that are left."""
        pieces = [self._buffer]
        held = len(self._buffer)
        while held < length and self._read < self.size:
            pieces.append(self._next_block())
            held += len(pieces[-1])
        data = b"".join(pieces)
        self._buffer = data[length:]
        self.position += min(length, len(data))
        return data[:length]

    def drain(self) -> None:
        """Reads what is left, for the hash."""
        self._buffer = b""
        while self._read < self.size:
            self._next_block()

    def _next_block(self) -> bytes:
        block = self._storage.read_range(self._name, self._read, min(_BLOCK_BYTES, self.size - self._read))
        self._read += len(block)
        self._hash.update(block)
        return block


def _check_store_file(storage: Storage, notes: _Notes) -> dict[str, Any] | None:
    """Reads store.json; gives None where it is not exactly what a writer made, after telling so."""
    try:
        data = storage.read(STORE_FILE)
    except StoreError as error:
        missing = "missing: the store is not complete; finish it with `bonafide features`"
        notes.add(STORE_FILE, str(error) if storage.exists(STORE_FILE) else missing)
        return None
    try:
        info = json.loads(data)
        if canonical_json(info) != data:
            raise ValueError("it is not in canonical form")
        if own_checksum(info) != info["sha256"]:
            raise ValueError("its own SHA-256 is wrong")
        if info["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {info['format_version']}, this program checks {FORMAT_VERSION}")
        stored_features(info, storage.url)
    except (ParamsError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        notes.add(STORE_FILE, f"damaged: {error}")
        return None
    found = digest({**info["parameters"], "versions": info["versions"]})
    if found != info["config_fingerprint"]:
        notes.add(STORE_FILE, "config_fingerprint is not that of its parameters and versions")
    return dict(info)


def _check_strays(present: Iterable[str], leftovers: Iterable[str], named: set[str], notes: _Notes) -> None:
    for name in present:
        if name != STORE_FILE and (name not in named if named else not is_store_file(name)):
            notes.add(name, f"stray: {STORE_FILE} does not name it" if named else "stray: not a file of a store")
    for name in leftovers:
        notes.add(name, "stray: left by a run that was stopped; `bonafide features` removes it")


def _plan(manifest: pa.Table, shards: Iterable[str]) -> dict[str, Shard]:
    """The shards that a manifest gives where every split has as many as the store has."""
    counts = dict.fromkeys(SPLITS, 1)
    for shard in shards:
        counts[shard_split(shard)] = int(shard.rpartition("-")[2])
    return {shard.name: shard for shard in cut(manifest, counts)}


def _check_ids(checked: Iterable[_Checked], notes: _Notes) -> None:
    """Finds utterances in two shards: within a split one of them is in the wrong shard, between splits it is told here."""
    first: dict[str, str] = {}
    for result in checked:
        for utterance_id in result.utterance_ids:
            other = first.setdefault(utterance_id, result.shard)
            if other != result.shard:
                notes.add(index_path(result.shard), f"{utterance_id} is in {other} as well")


def _check_sums(info: Mapping[str, Any], checked: Sequence[_Checked], notes: _Notes) -> None:
    """Counts again and compares with store.json, as far as every shard could be read."""
    for split in SPLITS:
        counts = SplitCounts()
        results = [result for result in checked if shard_split(result.shard) == split]
        for result in results:
            if result.index is None or result.n_rejects is None or result.record_bytes is None:
                break
            counts.add(result.index, result.n_rejects, result.record_bytes)
        else:
            stated = info["splits"][split]
            for name, value in counts.as_dict().items():
                if value != stated[name]:
                    notes.add(STORE_FILE, f"{split}: {name} is {stated[name]}, the shards have {value}")
    sums = [result.frame_sums for result in checked]
    if all(part is not None for part in sums):
        n_bins = stored_features(info, STORE_FILE).n_bins
        parts = [part for part in sums if part is not None and len(part["total"]) == n_bins]
        statistics = FrameSums.merged(parts, n_bins)
        stated = info["statistics"]
        if (
            statistics.n_frames != stated["n_frames"]
            or not _close(stated["mean"], statistics.mean)
            or not _close(stated["deviation"], statistics.deviation)
        ):
            notes.add(STORE_FILE, "its statistics are not those of the records of train")


def _disagreements(example: Example, row: Mapping[str, Any], expected_bins: int | None) -> Iterator[str]:
    for name in ("utterance_id", "speaker_id", "attack_id", "label", "copy"):
        if getattr(example, name) != row[name]:
            yield f"{name} is {getattr(example, name)!r}, the index says {row[name]!r}"
    n_frames, n_bins = example.features.shape
    if n_frames != row["n_frames"]:
        yield f"it has {n_frames} frames, the index says {row['n_frames']}"
    if expected_bins is not None and n_bins != expected_bins:
        yield f"it has {n_bins} bins, the store's front end {expected_bins}"
    if not np.isfinite(example.features).all():
        yield f"{np.count_nonzero(~np.isfinite(example.features))} values are not finite"


def _same_sums(stated: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    if stated["n_frames"] == 0 and found["n_frames"] == 0:
        return True
    return (
        stated["n_frames"] == found["n_frames"]
        and _close(stated["total"], found["total"])
        and _close(stated["squares"], found["squares"])
    )


def _close(stated: npt.ArrayLike, found: npt.ArrayLike) -> bool:
    first, second = np.asarray(stated, dtype=float), np.asarray(found, dtype=float)
    return first.shape == second.shape and bool(np.allclose(first, second, rtol=_RELATIVE_TOLERANCE, atol=1e-6))
