"""The checks of an index when a store is opened: each part by the rules of the format, and all of them against store.json."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.schema import BONA_FIDE, SPOOF, TWIN_ATTACK_PREFIX
from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.counts import SplitCounts
from pipeline.store.damage import damaged, damaged_store
from pipeline.store.digests import digest
from pipeline.store.info import copies_and_twins, stored_features
from pipeline.store.parts import metadata_of
from pipeline.store.records import FRAME_BYTES
from pipeline.store.schema import INDEX_SCHEMA, STORE_FILE, index_path, records_path, shard_position, shard_split
from pipeline.store.sharding import copies, shard_number, twins
from pipeline.store.statistics import FrameSums

CHECKED: Final = (
    "utterance_id",
    "split",
    "attack_id",
    "label",
    "copy",
    "twin_of",
    "duration_s",
    "decoder",
    "n_frames",
    "shard",
    "offset",
    "length",
)
"""The columns that the checks need."""

_COUNTED: Final = tuple(field.name for field in fields(SplitCounts) if field.name != "shards")
_FIELDS: Final = {field.name: field for field in INDEX_SCHEMA}

Numbers = npt.NDArray[np.int64]


class IndexChecks:
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
        if not set(CHECKED) <= fields.keys() or not fields.items() <= _FIELDS.items():
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
            if set(part[name].combine_chunks().dictionary_encode().dictionary.to_pylist()) - {value}:
                return f"it has rows of another {name}"
        names = part["utterance_id"].combine_chunks().dictionary_encode()
        place, n_shards = shard_position(shard)
        if any(shard_number(split, name, n_shards) != place for name in names.dictionary.to_pylist()):
            return "it has utterances that belong to another shard"
        labels, copy = _numbers(part["label"]), _numbers(part["copy"])
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
            decoders = part["decoder"].combine_chunks().dictionary_encode()
            beyond = [n for n, name in enumerate(decoders.dictionary.to_pylist()) if name == "flac_beyond_range"]
            is_beyond = np.isin(_numbers(decoders.indices.cast(pa.int64())), beyond)
            found["beyond_range"] += int((is_original & is_beyond).sum())
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
        stated = _numbers(part["twin_of"].cast(pa.int64()))
        named = _numbers(pc.starts_with(part["attack_id"], TWIN_ATTACK_PREFIX).cast(pa.int64())) == 1
        if (stated != expected).any() or not named[is_twin].all() or (labels[is_twin] != SPOOF).any():
            return "it has twins that are not marked as such, or rows marked as twins that are none"
        return None


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _numbers(column: pa.ChunkedArray | pa.Array) -> Numbers:
    """A column of int64, -1 for null: int64 [rows]. Without `pa.scalar` and Array.to_numpy, which import pandas."""
    values = _one(column)
    if values.null_count:
        absent = pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.full(len(values), -1))])
        values = pc.coalesce(values, absent)
    found: Numbers = np.from_dlpack(values)
    return found
