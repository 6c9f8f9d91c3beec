"""Which shard an utterance belongs to, the place of an example in it, and how many shards a split has.

Shard and place follow from SHA-256 of a salt, the split and the utterance id, so they do not depend on other utterances, on
any order or on the number of workers. SHA-256 is the same everywhere, and its digests are uniform even for ids that differ in
one digit only. Another hash or salt gives another store: raise `FORMAT_VERSION` with it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.schema import BONA_FIDE, SPLITS
from pipeline.errors import ParamsError
from pipeline.frontends import FeatureParams
from pipeline.store.digests import digest
from pipeline.store.params import StoreParams
from pipeline.store.schema import shard_name

_SALT: Final = "bonafide-1"
# Frame, labels and ids of a record.
_RECORD_OVERHEAD_BYTES: Final = 230
_FEWEST_SHARDS: Final = 8
# A shard's name has five digits.
_MOST_SHARDS: Final = 99_999
_ROWS_AT_ONCE: Final = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """One row of the manifest, as a worker needs it.

    Attributes:
        path: Audio file, relative to the root of the corpus.
        sha256: SHA-256 of the audio file; None where it could not be read.
        problem: "reason: detail" where the manifest stage found the file unusable.
        fields: The other fields of the protocol, packed; None where it has none.
    """

    utterance_id: str
    speaker_id: str | None
    attack_id: str | None
    label: int | None
    path: str
    sha256: str | None
    problem: str | None
    fields: str | None = None


_COLUMNS: Final = tuple(field.name for field in fields(Source))
PLANNED_COLUMNS: Final = ("split", *_COLUMNS, "duration_s")
"""Columns of a manifest that the assignment of utterances to shards reads."""
values_of = attrgetter(*_COLUMNS)
"""The values of a `Source`, in the order of its fields."""


class ManifestSources(Sequence[Source]):
    """The utterances of a shard as rows of the manifest; `Source` objects exist only while they are used.

    Args:
        columns: The manifest's columns of a `Source`, in the order of its fields.
        rows: uint32 [n], numbers of the shard's rows.
    """

    def __init__(self, columns: pa.Table, rows: npt.NDArray[np.uint32]) -> None:
        self._columns = columns
        self._rows = np.ascontiguousarray(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Source: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Source, ...]: ...

    def __getitem__(self, index: int | slice) -> Source | tuple[Source, ...]:
        if isinstance(index, slice):
            return tuple(ManifestSources(self._columns, self._rows[index]))
        return next(iter(ManifestSources(self._columns, self._rows[[index]])))

    def __iter__(self) -> Iterator[Source]:
        taken = self._columns.take(_as_arrow(self._rows, pa.uint32()))
        return (Source(*values) for values in zip(*(column.to_pylist() for column in taken.columns), strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


def _as_arrow(values: npt.NDArray[Any], dtype: pa.DataType) -> pa.Array:
    # Not pa.array, which imports pandas.
    return pa.Array.from_buffers(dtype, len(values), [None, pa.py_buffer(values)])


@dataclass(frozen=True)
class Shard:
    """The unit of work: a shard's name and its utterances, sorted by id."""

    name: str
    split: str
    sources: Sequence[Source]

    def fingerprint(self, config_fingerprint: str) -> str:
        """SHA-256 of everything that decides the shard's bytes: parameters, versions, audio and labels of its utterances."""
        rows = [dict(zip(_COLUMNS, values_of(source), strict=True)) for source in self.sources]
        return digest({"config_fingerprint": config_fingerprint, "shard": self.name, "utterances": rows})


def assign_shards(
    manifest: pa.Table, store: StoreParams, features: FeatureParams, n_copies: int, n_twins: int = 0
) -> list[Shard]:
    """Assigns the utterances of a manifest to the shards of a store.

    Args:
        manifest: Table with `PLANNED_COLUMNS` of a manifest at least.
        store: Number of shards, or their target size.
        features: Gives the expected size of an example.
        n_copies: Augmented copies of each clip of train.
        n_twins: Twins of each bona fide clip of train and of each of its copies.

    Returns:
        All shards, also those without utterances, in the order of their names.

    Raises:
        ParamsError: There would be more shards than names.
    """
    expected = expected_bytes(manifest, features, n_copies, n_twins)
    return group_by_shard(manifest, {split: shard_count(expected[split], store) for split in SPLITS})


def group_by_shard(manifest: pa.Table, counts: Mapping[str, int]) -> list[Shard]:
    """Assigns the utterances of a manifest to shards, as `assign_shards` does, with a given number of shards per split."""
    # One number per shard, in the order of their names. Without a chunk boundary, rows are taken without a search for them.
    first = dict(zip(SPLITS, np.cumsum([0, *(counts[split] for split in SPLITS[:-1])]).tolist(), strict=True))
    numbers = np.empty(manifest.num_rows, np.int32)
    at = 0
    for batch in manifest.select(["split", "utterance_id"]).to_batches(max_chunksize=_ROWS_AT_ONCE):
        for split, utterance_id in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            numbers[at] = first[split] + shard_number(split, utterance_id, counts[split])
            at += 1
    columns = manifest.select(_COLUMNS).combine_chunks()
    keys = pa.table([_as_arrow(numbers, pa.int32()), columns["utterance_id"]], ["shard", "utterance_id"])
    # Through DLPack, since Array.to_numpy imports pandas.
    order = np.from_dlpack(pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])).astype(np.uint32)
    ends = np.cumsum(np.bincount(numbers, minlength=sum(counts[split] for split in SPLITS)))
    rows = iter(np.split(order, ends[:-1]))
    return [
        Shard(shard_name(split, number, counts[split]), split, ManifestSources(columns, next(rows)))
        for split in SPLITS
        for number in range(counts[split])
    ]


def expected_bytes(manifest: pa.Table, features: FeatureParams, n_copies: int, n_twins: int = 0) -> dict[str, int]:
    """Expected size of each split's records in bytes, from the durations in the manifest."""
    total = dict.fromkeys(SPLITS, 0)
    for batch in manifest.select(["split", "label", "duration_s"]).to_batches(max_chunksize=_ROWS_AT_ONCE):
        for split, label, duration in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if duration is not None:
                examples = 1 + copies(split, n_copies) + twins(split, label, n_copies, n_twins)
                # Longer clips are refused, and a header can state any length.
                total[split] += examples * example_bytes(min(duration, features.max_duration_s), features)
    return total


def example_bytes(duration_s: float, features: FeatureParams) -> int:
    """Expected size in bytes of the record of one example of `duration_s` seconds."""
    per_second = features.sample_rate / features.hop_length * features.n_bins * 2
    return int(duration_s * per_second) + _RECORD_OVERHEAD_BYTES


def shard_count(size: int, store: StoreParams) -> int:
    """The number of shards of a split of `size` expected bytes.

    It is `store.shards`, or with "auto" the power of two, at least 8, that brings the shards nearest to the target size.

    Raises:
        ParamsError: There would be more shards than names.
    """
    if store.shards != "auto":
        return store.shards
    target = store.target_shard_mib * 2**20
    count = _FEWEST_SHARDS
    while abs(size / (2 * count) - target) < abs(size / count - target):
        count *= 2
    if count > _MOST_SHARDS:
        raise ParamsError(
            f"a split would have {count:,} shards, but their names have room for {_MOST_SHARDS:,}; "
            f"raise store.target_shard_mib above {store.target_shard_mib:g}"
        )
    return count


def copies(split: str, n_copies: int) -> int:
    """The number of augmented copies of each clip of a split; only train has any."""
    return n_copies if split == "train" else 0


def twins(split: str, label: int | None, n_copies: int, n_twins: int) -> int:
    """The number of twins of a clip: `n_twins` of the original and of each augmented copy, if it is bona fide and in train."""
    return (1 + n_copies) * n_twins if split == "train" and label == BONA_FIDE else 0


def twin_copy(copy: int, number: int, n_copies: int, n_twins: int) -> int:
    """The copy number of a twin: behind those of the augmented copies.

    Args:
        copy: Whose twin it is, 0 for the original.
        number: Of the twin among those of the copy, from 0.
        n_copies: Augmented copies of each clip of train.
        n_twins: Twins of each copy.
    """
    return 1 + n_copies + copy * n_twins + number


def twin_of(copy: int, n_copies: int, n_twins: int) -> int | None:
    """The number of the copy whose twin a copy is, the inverse of `twin_copy`; None if it is no twin."""
    return (copy - 1 - n_copies) // n_twins if copy > n_copies else None


def shard_number(split: str, utterance_id: str, count: int) -> int:
    """Which of a split's `count` shards an utterance belongs to."""
    return _hash(split, utterance_id) * count >> 64


def place_in_shard(split: str, utterance_id: str, copy: int) -> tuple[int, str, int]:
    """The sort key of an example in its shard."""
    return _hash(split, utterance_id, str(copy)), utterance_id, copy


def _hash(*parts: str) -> int:
    """A uniform number in [0, 2^64). The separator cannot occur in a part, so no two lists of parts collide."""
    return int.from_bytes(hashlib.sha256("\x00".join((_SALT, *parts)).encode()).digest()[:8], "big")
