"""The Parquet files of a store: each shard has one part of the index and one of the rejects.

An index part also carries, in its schema metadata, a JSON object about its shard: fingerprint, configuration, size and
SHA-256 of the shard's other files, number of rejects, sums over its frames.
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import StoreError
from pipeline.store.digests import canonical_json
from pipeline.store.schema import METADATA_KEY

_METADATA_FIELDS: Final = frozenset({"shard_fingerprint", "config", "files", "rejects", "frame_sums"})


def encode_part(table: pa.Table) -> bytes:
    """The bytes of a part; the same for equal tables."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def parse_part(data: bytes, where: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Parses the bytes of a part, all its columns or the named ones; `where` names it in errors.

    Raises:
        StoreError: They are not Parquet.
    """
    try:
        # pq.read_table would import pandas.
        return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{where} is damaged: {error}; run `bonafide store verify`") from error


def with_metadata(index: pa.Table, metadata: Mapping[str, Any]) -> pa.Table:
    """The index part with this metadata about its shard."""
    return index.replace_schema_metadata({METADATA_KEY: canonical_json(metadata)})


def metadata_of(index: pa.Table, where: str) -> dict[str, Any]:
    """The metadata of an index part; `where` names it in errors.

    Raises:
        StoreError: There is none, or a field of it is missing.
    """
    try:
        metadata: dict[str, Any] = json.loads(index.schema.metadata[METADATA_KEY])
        missing = _METADATA_FIELDS - metadata.keys()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{where}: the metadata of its shard cannot be read: {error!r}") from error
    if missing:
        raise StoreError(f"{where}: the metadata of its shard has no {', '.join(sorted(missing))}")
    return metadata
