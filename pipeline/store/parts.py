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

_METADATA_TYPES: Final = {"shard_fingerprint": str, "config": dict, "files": dict, "rejects": int, "frame_sums": dict}


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
        part = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(columns, use_threads=False)
        part.validate(full=True)  # such as text that is not UTF-8
        return part
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
        missing = _METADATA_TYPES.keys() - metadata.keys()
        wrong = [name for name, kind in _METADATA_TYPES.items() if type(metadata.get(name)) is not kind]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{where}: the metadata of its shard cannot be read: {error!r}") from error
    if missing:
        raise StoreError(f"{where}: the metadata of its shard has no {', '.join(sorted(missing))}")
    if not wrong and not (_are_entries(metadata["files"]) and _are_sums(metadata["frame_sums"])):
        wrong = ["files or frame_sums"]
    if wrong:
        raise StoreError(f"{where}: the metadata of its shard has a {wrong[0]} of another kind than this format's")
    return metadata


def _are_entries(files: Mapping[str, Any]) -> bool:
    return all(
        isinstance(entry, dict)
        and entry.keys() == {"size", "sha256"}
        and type(entry["size"]) is int
        and type(entry["sha256"]) is str
        for entry in files.values()
    )


def _are_sums(sums: Mapping[str, Any]) -> bool:
    lists = [sums.get(name) for name in ("total", "squares")]
    return (
        type(sums.get("n_frames")) is int
        and all(isinstance(values, list) for values in lists)
        and len({len(values) for values in lists if isinstance(values, list)}) == 1
        and all(type(value) in (int, float) for values in lists for value in values or ())
    )
