"""The index of a store as its readers get it: read from the parts, and checked before any row is used.

Each part is compared with store.json, with the size of its shard's records, and with the rules of the format. This costs
a few microseconds a row. Records are not read here: `pipeline.store.agreement` compares each with its row when it is read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.damage import damaged
from pipeline.store.digests import file_entry
from pipeline.store.index_checks import CHECKED, IndexChecks
from pipeline.store.info import shards_of_info
from pipeline.store.parts import parse_part
from pipeline.store.schema import INDEX_SCHEMA, REJECTS_SCHEMA, STORE_FILE, index_path, records_path, rejects_path
from pipeline.tables import gathered

# Small parts need as much memory for their bookkeeping as for their rows.
_PARTS_AT_ONCE: Final = 32
_REQUESTS_AT_ONCE: Final = 16


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
    checks = IndexChecks(storage, info)
    chosen = INDEX_SCHEMA if columns is None else pa.schema([INDEX_SCHEMA.field(name) for name in columns])
    needed = None if columns is None else list(dict.fromkeys([*columns, *CHECKED]))
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
