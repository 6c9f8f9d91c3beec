"""Reading a feature store: open it, select rows of its index, get examples by id or one after the other.

Opening reads and checks store.json and the index, never the records. An example is one ranged read at the offset that its row
states, and is compared with its row.
Memory grows with the index, not with the records.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import StoreError
from pipeline.frontends import FeatureParams
from pipeline.storage import Storage, open_storage
from pipeline.store.agreement import COMPARED, checked_example
from pipeline.store.damage import damaged
from pipeline.store.info import read_info, shards_of_info, stored_features
from pipeline.store.opening import read_all_rejects, read_index
from pipeline.store.parts import parse_part
from pipeline.store.records import Example
from pipeline.store.schema import INDEX_SCHEMA, REJECTS_SCHEMA, records_path, rejects_path, shard_split
from pipeline.store.statistics import Statistics

_ROWS_AT_ONCE: Final = 256
_BYTES_AT_ONCE: Final = 4 << 20


class FeatureStore:
    """A complete feature store, or the part of one that `select` narrowed it to.

    Attributes:
        storage: Where its files are.
        info: The content of store.json.
        index: Table with the columns of `INDEX_SCHEMA`, one row per example, ordered by shard and place in it.
        records: Where the records are read: `storage`, or a local copy of their files.
    """

    def __init__(self, storage: Storage, info: dict[str, Any], index: pa.Table, records: Storage | None = None) -> None:
        self.storage = storage
        self.records = records or storage
        self.info = info
        self.index = index
        self._numbers: dict[tuple[str, int], int] | None = None
        self._places: pa.Table | None = None

    @classmethod
    def open(cls, url: str | Path, columns: Sequence[str] | None = None) -> "FeatureStore":
        """Opens a store in a local folder, or at `s3://…` or `gs://…`.

        Args:
            url: Where it is.
            columns: Columns of the index to read; None for all, which examples and `select` need.

        Raises:
            StoreError: There is no complete store, it has another format version, or store.json, the index or the size of a
                file is wrong; the message names the shard.
        """
        storage = open_storage(url)
        info = read_info(storage)
        return cls(storage, info, read_index(storage, info, columns))

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
        return read_all_rejects(self.storage, self.info)

    def shards(self, split: str) -> list[str]:
        """Names of a split's shards, in order."""
        return [shard for shard in shards_of_info(self.info) if shard_split(shard) == split]

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
        return self.with_index(index)

    def with_index(self, index: pa.Table) -> "FeatureStore":
        """This store narrowed to some rows of its index."""
        return FeatureStore(self.storage, self.info, index, self.records)

    def with_records(self, records: Storage) -> "FeatureStore":
        """This store with its records read from another storage, which has the same files."""
        return FeatureStore(self.storage, self.info, self.index, records)

    def get(self, utterance_id: str, copy: int = 0) -> Example:
        """Reads one example by its utterance id, with one ranged read, and checks it against its checksums and its row.

        Raises:
            KeyError: The store, or the selection, has no such example.
            StoreError: The record is damaged, or another example's.
        """
        number = self._find(utterance_id, copy)
        if self._places is None:
            self._places = index_of_records(self.index)
        row = self._places.slice(number, 1).to_pylist()[0]
        record = self.records.read_range(records_path(row["shard"]), row["offset"], row["length"])
        return self.checked(record, row)

    def row(self, utterance_id: str, copy: int = 0) -> dict[str, Any]:
        """The index row of one example.

        Raises:
            KeyError: The store, or the selection, has no such example.
        """
        number = self._find(utterance_id, copy)
        row: dict[str, Any] = self.index.slice(number, 1).to_pylist()[0]
        return row

    def iter(self) -> Iterator[Example]:
        """Reads and checks every example of the store or the selection in the order of the index, few at a time.

        Raises:
            StoreError: A record is damaged, or another example's.
        """
        # Of a remote storage, where each request takes time, many records at once.
        for rows in _runs(self.index, _BYTES_AT_ONCE if self.records.remote else 0):
            first, last = rows[0], rows[-1]
            end = last["offset"] + last["length"]
            data = self.records.read_range(records_path(first["shard"]), first["offset"], end - first["offset"])
            for row in rows:
                begin = row["offset"] - first["offset"]
                yield self.checked(data[begin : begin + row["length"]], row)

    __iter__ = iter

    def checked(self, record: bytes, row: Mapping[str, Any]) -> Example:
        """The example of a row, from the bytes of its record.

        Args:
            record: The whole TFRecord frame.
            row: Row of the index, with the columns `COMPARED` and shard.

        Raises:
            StoreError: The record is damaged, or another example's.
        """
        try:
            return checked_example(record, row, self.features.n_bins)
        except StoreError as error:
            which = f"{records_path(row['shard'])}, {row['utterance_id']} copy {row['copy']}"
            raise damaged(self.storage, row["shard"], f"{which}: {error}") from error

    def _find(self, utterance_id: str, copy: int) -> int:
        if self._numbers is None:
            keys = zip(self.index["utterance_id"].to_pylist(), self.index["copy"].to_pylist(), strict=True)
            self._numbers = {key: number for number, key in enumerate(keys)}
        try:
            return self._numbers[utterance_id, copy]
        except KeyError:
            raise KeyError(f"{self.storage.url} has no example {utterance_id!r} with copy {copy}") from None


def index_of_records(index: pa.Table) -> pa.Table:
    """The columns of an index that reading and checking a record needs."""
    return index.select([*COMPARED, "shard", "offset", "length"])


def _runs(index: pa.Table, most_bytes: int) -> Iterator[list[dict[str, Any]]]:
    """Rows whose records follow one another in a file, of `most_bytes` at most unless one record alone is larger."""
    run: list[dict[str, Any]] = []
    for batch in index_of_records(index).to_batches(max_chunksize=_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            follows = run and row["shard"] == run[0]["shard"] and row["offset"] == run[-1]["offset"] + run[-1]["length"]
            if run and not (follows and row["offset"] + row["length"] - run[0]["offset"] <= most_bytes):
                yield run
                run = []
            run.append(row)
    if run:
        yield run


def read_rejects(storage: Storage, shards: Iterable[str]) -> pa.Table:
    """Reads the rejects of these shards into one table. The store need not be complete."""
    names = [rejects_path(shard) for shard in shards]
    parts = zip(names, storage.read_each(names), strict=True)
    return pa.concat_tables(
        [pa.Table.from_batches([], REJECTS_SCHEMA), *(parse_part(data, storage.url_of(name)) for name, data in parts)]
    )
