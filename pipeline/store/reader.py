"""Reading a feature store: open it, select rows of its index, get examples by id or one after the other.

Opening reads store.json and the index, never the records. An example is one ranged read at the offset that its row states.
Memory grows with the index, not with the records.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import StoreError
from pipeline.frontends import FeatureParams, parse_features
from pipeline.storage import Storage, open_storage
from pipeline.store.digests import file_entry, own_checksum
from pipeline.store.parts import parse_part
from pipeline.store.records import Example, decode_example, unframe
from pipeline.store.schema import (
    FORMAT_VERSION,
    INDEX_FOLDER,
    INDEX_SCHEMA,
    REJECTS_SCHEMA,
    STORE_FILE,
    in_order,
    index_path,
    records_path,
    rejects_path,
    shard_of,
    shard_split,
)
from pipeline.store.statistics import Statistics
from pipeline.tables import gathered

# Small parts need as much memory for their bookkeeping as for their rows.
_PARTS_AT_ONCE: Final = 32


class _Places:
    """The place of each record: row numbers by utterance id and copy, and columns without a Python object per row."""

    def __init__(self, index: pa.Table) -> None:
        keys = zip(index["utterance_id"].to_pylist(), index["copy"].to_pylist(), strict=True)
        self.numbers = {key: number for number, key in enumerate(keys)}
        shards = index["shard"].combine_chunks().dictionary_encode()
        self._paths = [records_path(shard) for shard in shards.dictionary.to_pylist()]
        self._shard = shards.indices.to_numpy()
        self._offset = index["offset"].to_numpy()
        self._length = index["length"].to_numpy()

    def record(self, number: int) -> tuple[str, int, int]:
        """Path, offset and length of the record of a row."""
        return self._paths[self._shard[number]], int(self._offset[number]), int(self._length[number])


class FeatureStore:
    """A complete feature store, or the part of one that `select` narrowed it to.

    Attributes:
        storage: Where its files are.
        info: The content of store.json.
        index: Table with the columns of `INDEX_SCHEMA`, one row per example, ordered by shard and place in it.
    """

    def __init__(self, storage: Storage, info: dict[str, Any], index: pa.Table) -> None:
        self.storage = storage
        self.info = info
        self.index = index
        self._places: _Places | None = None

    @classmethod
    def open(cls, url: str | Path, columns: Sequence[str] | None = None) -> "FeatureStore":
        """Opens a store in a local folder or at `s3://bucket/prefix`.

        Args:
            url: Where it is.
            columns: Columns of the index to read; None for all, which examples and `select` need.

        Raises:
            StoreError: There is no complete store, it has another format version, or its index is damaged.
        """
        storage = open_storage(url)
        info = read_info(storage)
        return cls(storage, info, _read_tables(storage, info, index_path, INDEX_SCHEMA, columns))

    def __len__(self) -> int:
        """Number of examples."""
        return int(self.index.num_rows)

    def __repr__(self) -> str:
        return f"FeatureStore({self.storage.url!r}, {len(self)} examples)"

    @property
    def config_fingerprint(self) -> str:
        """SHA-256 of the parameters and versions that made the store."""
        return str(self.info["config_fingerprint"])

    @property
    def features(self) -> FeatureParams:
        """Parameters of the front end; `max_reject_fraction`, on which no byte depends, is 1."""
        return stored_features(self.info, self.storage.url)

    @property
    def statistics(self) -> Statistics:
        """Mean and deviation of each bin over the train originals."""
        stored = self.info["statistics"]
        return Statistics(np.array(stored["mean"]), np.array(stored["deviation"]), stored["n_frames"])

    def rejects(self) -> pa.Table:
        """The utterances that could not be used, as a table with the columns of `REJECTS_SCHEMA`."""
        return _read_tables(self.storage, self.info, rejects_path, REJECTS_SCHEMA)

    def shards(self, split: str) -> list[str]:
        """Names of a split's shards, in order."""
        return [shard for shard in _shards(self.info) if shard_split(shard) == split]

    def records_url(self, shard: str) -> str:
        """Address of a shard's TFRecord file, for readers such as tf.data."""
        return self.storage.url_of(records_path(shard))

    def select(
        self,
        *,
        split: str | Sequence[str] | None = None,
        attack_id: str | Sequence[str] | None = None,
        speaker_id: str | Sequence[str] | None = None,
        label: int | None = None,
        copy: int | Sequence[int] | None = None,
        utterance_id: str | Sequence[str] | None = None,
        shard: str | Sequence[str] | None = None,
        min_duration_s: float | None = None,
        max_duration_s: float | None = None,
    ) -> "FeatureStore":
        """Narrows the store to the rows that meet every condition; a sequence means any of its values.

        Args:
            split: "train", "dev" or "eval".
            attack_id: Spoofing system; bona fide rows have none and never match.
            speaker_id: Speaker.
            label: 1 bona fide, 0 spoof.
            copy: 0 for originals, 1 and up for augmented copies, then twins.
            utterance_id: Utterance.
            shard: Name of a shard.
            min_duration_s: Smallest duration of an example in seconds.
            max_duration_s: Largest duration of an example in seconds.
        """
        index = self.index
        wanted = {
            "split": split,
            "attack_id": attack_id,
            "speaker_id": speaker_id,
            "label": label,
            "copy": copy,
            "utterance_id": utterance_id,
            "shard": shard,
        }
        for column, value in wanted.items():
            if value is not None:
                values = [value] if isinstance(value, (str, int)) else list(value)
                index = index.filter(pc.is_in(index[column], pa.array(values, INDEX_SCHEMA.field(column).type)))
        if min_duration_s is not None:
            index = index.filter(pc.greater_equal(index["duration_s"], min_duration_s))
        if max_duration_s is not None:
            index = index.filter(pc.less_equal(index["duration_s"], max_duration_s))
        return FeatureStore(self.storage, self.info, index)

    def get(self, utterance_id: str, copy: int = 0) -> Example:
        """Reads one example by its utterance id, with one ranged read, and checks its checksums.

        Raises:
            KeyError: The store, or the selection, has no such example.
            StoreError: The record is damaged.
        """
        places, number = self._find(utterance_id, copy)
        path, offset, length = places.record(number)
        record = self.storage.read_range(path, offset, length)
        try:
            return decode_example(unframe(record))
        except StoreError as error:
            raise StoreError(f"{path}, {utterance_id} copy {copy}: {error}; run `bonafide store verify`") from error

    def row(self, utterance_id: str, copy: int = 0) -> dict[str, Any]:
        """The index row of one example.

        Raises:
            KeyError: The store, or the selection, has no such example.
        """
        _, number = self._find(utterance_id, copy)
        row: dict[str, Any] = self.index.slice(number, 1).to_pylist()[0]
        return row

    def iter(self) -> Iterator[Example]:
        """Reads every example of the store or the selection, one at a time, in the order of the index."""
        for utterance_id, copy in zip(
            self.index["utterance_id"].to_pylist(), self.index["copy"].to_pylist(), strict=True
        ):
            yield self.get(utterance_id, copy)

    __iter__ = iter

    def _find(self, utterance_id: str, copy: int) -> tuple[_Places, int]:
        if self._places is None:
            self._places = _Places(self.index)
        try:
            return self._places, self._places.numbers[utterance_id, copy]
        except KeyError:
            raise KeyError(f"{self.storage.url} has no example {utterance_id!r} with copy {copy}") from None


def read_info(storage: Storage) -> dict[str, Any]:
    """Reads store.json.

    Raises:
        StoreError: It is missing, not JSON, or of another format version.
    """
    if not storage.exists(STORE_FILE):
        raise StoreError(
            f"{storage.url}: no complete feature store (no {STORE_FILE}); make or finish it with `bonafide features`"
        )
    try:
        info: dict[str, Any] = json.loads(storage.read(STORE_FILE))
        found, checksum = info["format_version"], info["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{storage.url}/{STORE_FILE} is damaged: {error}; run `bonafide store verify`") from error
    if found != FORMAT_VERSION:
        raise StoreError(
            f"{storage.url} has format version {found}, this program reads {FORMAT_VERSION}; "
            "make it again with `bonafide features`"
        )
    if own_checksum(info) != checksum:
        raise StoreError(f"{storage.url}/{STORE_FILE} is damaged: wrong checksum; run `bonafide store verify`")
    return info


def stored_features(info: Mapping[str, Any], where: str) -> FeatureParams:
    """The front end that store.json states; `max_reject_fraction`, which no byte depends on, is 1.

    Raises:
        ParamsError: It is of a kind, or has a parameter, that this program does not know.
    """
    return parse_features({**info["parameters"]["features"], "max_reject_fraction": 1.0}, f"{where}/{STORE_FILE}")


def read_rejects(storage: Storage, shards: Iterable[str]) -> pa.Table:
    """Reads the rejects of these shards into one table. The store need not be complete."""
    names = [rejects_path(shard) for shard in shards]
    parts = zip(names, storage.read_each(names), strict=True)
    return pa.concat_tables(
        [pa.Table.from_batches([], REJECTS_SCHEMA), *(parse_part(data, storage.url_of(name)) for name, data in parts)]
    )


def _read_tables(
    storage: Storage,
    info: dict[str, Any],
    path_of: Callable[[str], str],
    schema: pa.Schema,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Reads the index or the rejects, or some of their columns, from their parts and checks each against store.json."""
    chosen = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    names = [path_of(shard) for shard in _shards(info)]

    def parts() -> Iterator[pa.Table]:
        for name, data in zip(names, storage.read_each(names), strict=True):
            if file_entry(data) != info["files"][name]:
                raise StoreError(
                    f"{storage.url_of(name)} has other bytes than {STORE_FILE} states: it is damaged, or a run is writing the "
                    "store; run `bonafide store verify`"
                )
            part = parse_part(data, storage.url_of(name), columns)
            yield part.select(chosen.names).replace_schema_metadata(None)

    def batches() -> Iterator[pa.RecordBatch]:
        waiting = parts()
        while some := list(islice(waiting, _PARTS_AT_ONCE)):
            yield from pa.concat_tables(some).combine_chunks().to_batches()

    return gathered(batches(), chosen)


def _shards(info: dict[str, Any]) -> list[str]:
    return in_order(shard_of(name) for name in info["files"] if name.startswith(f"{INDEX_FOLDER}/"))
