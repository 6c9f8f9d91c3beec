"""The index of a store as its readers get it: read from the parts, and checked before any row is used.

Each part is compared with store.json, with the size of its shard's records, and with the rules of the format. This costs
a few microseconds a row. Records are not read here: `pipeline.store.agreement` compares each with its row when it is read.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.schema import BONA_FIDE, SPOOF, TWIN_ATTACK_PREFIX
from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.digests import digest, file_entry
from pipeline.store.info import copies_and_twins, shards_of_info, stored_features
from pipeline.store.parts import metadata_of, parse_part
from pipeline.store.records import FRAME_BYTES
from pipeline.store.schema import (
    INDEX_SCHEMA,
    REJECTS_SCHEMA,
    STORE_FILE,
    index_path,
    records_path,
    rejects_path,
    shard_position,
    shard_split,
)
from pipeline.store.sharding import copies, shard_number, twins
from pipeline.store.statistics import FrameSums
from pipeline.tables import gathered

# Small parts need as much memory for their bookkeeping as for their rows.
_PARTS_AT_ONCE: Final = 32
_REQUESTS_AT_ONCE: Final = 16
_CHECKED: Final = (
    "utterance_id",
    "split",
    "attack_id",
    "label",
    "copy",
    "twin_of",
    "duration_s",
    "n_frames",
    "shard",
    "offset",
    "length",
)
_COUNTED: Final = (
    "utterances",
    "examples",
    "rejects",
    "bona_fide",
    "spoof",
    "unlabelled",
    "duration_s",
    "record_bytes",
)

_FIELDS: Final = {field.name: field for field in INDEX_SCHEMA}

Numbers = npt.NDArray[np.int64]


def read_index(storage: Storage, info: Mapping[str, Any], columns: Sequence[str] | None = None) -> pa.Table:
    """Reads and checks the index of a store.

    Args:
        storage: Storage of the store.
        info: Content of store.json, as `read_info` gives it.
        columns: Columns to give; None for all.

    Raises:
        StoreError: A part is damaged, its shard's records have another size than stated, rows are missing or break a rule of
            the format, or counts or statistics of store.json are not those of the parts. The message names the shard.
    """
    _check_sizes(storage, info)
    checks = _IndexChecks(storage, info)
    chosen = INDEX_SCHEMA if columns is None else pa.schema([INDEX_SCHEMA.field(name) for name in columns])
    needed = None if columns is None else list(dict.fromkeys([*columns, *_CHECKED]))
    table = gathered(_batches(storage, info, index_path, needed, chosen, checks.check), chosen)
    checks.check_whole()
    return table


def read_all_rejects(storage: Storage, info: Mapping[str, Any]) -> pa.Table:
    """Reads the rejects of a store.

    Raises:
        StoreError: A part is damaged.
    """

    def check(shard: str, part: pa.Table) -> None:
        if not part.schema.equals(REJECTS_SCHEMA):
            raise damaged(storage, shard, "the columns of its rejects are not those of this format version")

    return gathered(_batches(storage, info, rejects_path, None, REJECTS_SCHEMA, check), REJECTS_SCHEMA)


def damaged(storage: Storage, shard: str, reason: str) -> StoreError:
    """The error of a damaged shard; it says how to see all of the damage, and how to repair it."""
    return StoreError(
        f"{storage.url}: shard {shard} is damaged: {reason}; see `bonafide store verify`, or remove {index_path(shard)} "
        "there and run `bonafide features`, which writes the shard again"
    )


def damaged_store(storage: Storage, reason: str) -> StoreError:
    """The error of a store whose shards may be intact, while something that belongs to no shard is wrong."""
    return StoreError(
        f"{storage.url} is damaged: {reason}; see `bonafide store verify`, or run `bonafide features`, which writes "
        f"{STORE_FILE} again"
    )


def _batches(
    storage: Storage,
    info: Mapping[str, Any],
    path_of: Callable[[str], str],
    columns: Sequence[str] | None,
    chosen: pa.Schema,
    check: Callable[[str, pa.Table], None],
) -> Iterator[pa.RecordBatch]:
    """The columns of `chosen` of every shard's part; `check` sees each part with `columns`."""
    shards = shards_of_info(info)

    def contents() -> Iterator[bytes]:
        try:
            yield from storage.read_each(map(path_of, shards))
        except StoreError:
            for shard in shards:
                if not storage.exists(path_of(shard)):
                    raise damaged(storage, shard, f"{path_of(shard)} is missing") from None
            raise

    def parts() -> Iterator[pa.Table]:
        for shard, data in zip(shards, contents(), strict=True):
            name = path_of(shard)
            if file_entry(data) != info["files"][name]:
                raise damaged(
                    storage, shard, f"{name} has other bytes than {STORE_FILE} states, or a run is writing the store"
                )
            try:
                part = parse_part(data, name, columns)
            except StoreError as error:
                raise damaged(storage, shard, str(error)) from error
            check(shard, part)
            yield part.select(chosen.names).replace_schema_metadata(None)

    waiting = parts()
    while some := list(islice(waiting, _PARTS_AT_ONCE)):
        yield from pa.concat_tables(some).combine_chunks().to_batches()


def _check_sizes(storage: Storage, info: Mapping[str, Any]) -> None:
    """Compares the size of every records file with store.json."""
    shards = shards_of_info(info)
    names = [records_path(shard) for shard in shards]

    def size_of(name: str) -> int | None:
        return storage.size(name) if storage.exists(name) else None

    if storage.remote:
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            sizes = list(pool.map(size_of, names))
    else:
        sizes = [size_of(name) for name in names]
    for shard, name, size in zip(shards, names, sizes, strict=True):
        stated = info["files"][name]["size"]
        if size is None:
            raise damaged(storage, shard, f"{name} is missing")
        if size != stated:
            raise damaged(storage, shard, f"{name} has {size:,} bytes, {STORE_FILE} states {stated:,}")


class _IndexChecks:
    """The checks of all parts, and the sums over them that store.json states."""

    def __init__(self, storage: Storage, info: Mapping[str, Any]) -> None:
        self._storage = storage
        self._info = info
        self._n_bins = stored_features(info, storage.url).n_bins
        self._n_copies, self._n_twins = copies_and_twins(info)
        self._sums = FrameSums(self._n_bins)
        self._counts = {split: dict.fromkeys(_COUNTED, 0.0) for split in info["splits"]}

    def check(self, shard: str, part: pa.Table) -> None:
        """Checks a part with at least the columns that the checks need; raises as `read_index` does."""
        problem = self._problem(shard, part)
        if problem is not None:
            raise damaged(self._storage, shard, f"{index_path(shard)}: {problem}")

    def check_whole(self) -> None:
        """Compares counts and statistics with store.json."""
        for split, found in self._counts.items():
            for name, value in found.items():
                stated = self._info["splits"][split][name]
                if not math.isclose(value, stated, rel_tol=1e-9):
                    reason = f"{STORE_FILE} states {stated} {name} of {split}, the shards have {value:g}"
                    raise damaged_store(self._storage, reason)
        if not self._sums.statistics().agrees_with(self._info["statistics"]):
            raise damaged_store(self._storage, f"the statistics of {STORE_FILE} are not those of the shards")

    def _problem(self, shard: str, part: pa.Table) -> str | None:
        fields = {field.name: field for field in part.schema}
        if not set(_CHECKED) <= fields.keys() or not fields.items() <= _FIELDS.items():
            return "its columns are not those of this format version"
        try:
            metadata = metadata_of(part, index_path(shard))
        except StoreError as error:
            return str(error)
        if digest(metadata["config"]) != self._info["config_fingerprint"]:
            return "it was written with other parameters or versions than the store"
        if any(self._info["files"].get(name) != entry for name, entry in metadata["files"].items()):
            return f"it states another size or SHA-256 than {STORE_FILE}"
        sums = metadata["frame_sums"]
        if len(sums["total"]) != self._n_bins:
            return f"its sums are not of {self._n_bins} bins"
        self._sums.add_sums(sums)
        return self._problem_of_places(shard, part) or self._problem_of_rows(shard, part, metadata["rejects"])

    def _problem_of_places(self, shard: str, part: pa.Table) -> str | None:
        """Whether the records follow one another from the start of the file to its end."""
        offsets, lengths, n_frames = (_numbers(part[name]) for name in ("offset", "length", "n_frames"))
        size = self._info["files"][records_path(shard)]["size"]
        ends = np.cumsum(lengths)
        if (lengths < FRAME_BYTES).any() or (offsets != ends - lengths).any():
            return "its records do not follow one another"
        if size != (int(ends[-1]) if len(ends) else 0):
            return f"its records end at byte {int(ends[-1]) if len(ends) else 0:,}, the file has {size:,}"
        if (n_frames < 1).any() or (n_frames > (lengths - FRAME_BYTES) // (2 * self._n_bins)).any():
            return "a row states more frames than its record holds, or none"
        return None

    def _problem_of_rows(self, shard: str, part: pa.Table, n_rejects: int) -> str | None:
        split = shard_split(shard)
        for name, value in (("shard", shard), ("split", split)):
            if pc.any(pc.not_equal(part[name], value)).as_py():
                return f"it has rows of another {name}"
        names = part["utterance_id"].combine_chunks().dictionary_encode()
        place, n_shards = shard_position(shard)
        if any(shard_number(split, name, n_shards) != place for name in names.dictionary.to_pylist()):
            return "it has utterances that belong to another shard"
        labels, copy = _numbers(pc.fill_null(part["label"], -1)), _numbers(part["copy"])
        if not np.isin(labels, (-1, SPOOF, BONA_FIDE)).all():
            return "it has labels other than 0 and 1"
        durations = np.from_dlpack(_one(part["duration_s"]))
        if not (np.isfinite(durations).all() and (durations > 0).all()):
            return "it has durations that are no positive numbers"
        owners = _numbers(names.indices.cast(pa.int64()))
        is_original = copy == 0
        problem = self._problem_of_copies(split, owners, copy, labels) or self._problem_of_twins(part, copy, labels)
        if problem is None:
            found = self._counts[split]
            n_originals = int(is_original.sum())
            found["utterances"] += n_originals + n_rejects
            found["examples"] += part.num_rows
            found["rejects"] += n_rejects
            for name, label in (("bona_fide", BONA_FIDE), ("spoof", SPOOF), ("unlabelled", -1)):
                found[name] += int((labels[is_original] == label).sum())
            found["duration_s"] += float(durations[is_original].sum())
            found["record_bytes"] += self._info["files"][records_path(shard)]["size"]
        return problem

    def _problem_of_copies(self, split: str, owners: Numbers, copy: Numbers, labels: Numbers) -> str | None:
        """Whether every utterance has each of its copies once.

        Args:
            split: Of the shard.
            owners: Number of the utterance of each row, from 0.
            copy: Of each row.
            labels: Of each row, -1 for none.
        """
        if not len(owners):
            return None
        original_labels = np.full(owners.max() + 1, -2)
        original_labels[owners[copy == 0]] = labels[copy == 0]
        base = 1 + copies(split, self._n_copies)
        expected = base + (original_labels == BONA_FIDE) * twins(split, BONA_FIDE, self._n_copies, self._n_twins)
        wrong = (original_labels == -2).any() or (copy < 0).any() or (copy >= expected[owners]).any()
        keys = owners * expected.max() + copy
        if wrong or len(keys) != expected.sum() or len(np.unique(keys)) != len(keys):
            return "it does not have every copy of its utterances once"
        return None

    def _problem_of_twins(self, part: pa.Table, copy: Numbers, labels: Numbers) -> str | None:
        is_twin = copy > self._n_copies if self._n_twins else np.zeros(len(copy), dtype=bool)
        expected = np.where(is_twin, (copy - 1 - self._n_copies) // max(self._n_twins, 1), -1)
        stated = _numbers(pc.fill_null(part["twin_of"], -1).cast(pa.int64()))
        named = _numbers(pc.starts_with(pc.fill_null(part["attack_id"], ""), TWIN_ATTACK_PREFIX).cast(pa.int64())) == 1
        if (stated != expected).any() or not named[is_twin].all() or (labels[is_twin] != SPOOF).any():
            return "it has twins that are not marked as such, or rows marked as twins that are none"
        return None


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _numbers(column: pa.ChunkedArray | pa.Array) -> Numbers:
    """A column of int64 without nulls: int64 [rows]. Through DLPack, since Array.to_numpy imports pandas."""
    found: Numbers = np.from_dlpack(_one(column))
    return found
