"""Checks of a shard's records: every frame and checksum, and every record against its row of the index."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.agreement import disagreements
from pipeline.store.checks.files import HashedFile, check_file
from pipeline.store.checks.findings import Findings
from pipeline.store.checks.stated import Stated
from pipeline.store.checks.tables import Rows
from pipeline.store.records import FRAME_BYTES, HEADER_BYTES, decode_example, payload_length, unframe
from pipeline.store.schema import index_path, records_path, shard_split
from pipeline.store.statistics import FrameSums


def check_records(
    storage: Storage, shard: str, rows: Rows | None, files: Mapping[str, Any], stated: Stated, findings: Findings
) -> tuple[FrameSums | None, int | None]:
    """Reads all records of a shard and compares each with its row.

    Args:
        storage: Storage of the store.
        shard: Name of the shard.
        rows: Its rows of the index; None where they cannot be used, so that the records are checked by their own frames.
        files: Stated size and SHA-256 by file.
        stated: Statements of store.json.
        findings: Takes what is wrong.

    Returns:
        The sums over the frames of the train originals, None unless every record is intact; and the size of the file, None
        unless it has the stated bytes.
    """
    name = records_path(shard)
    sums: FrameSums | None = None
    try:
        file = HashedFile(storage, name)
        if rows is None:
            _check_frames(name, file, findings)
        else:
            sums = _check_rows(shard, file, rows, stated, findings)
        file.drain()
    except StoreError as error:
        findings.add(name, str(error))
        return None, None
    if not check_file(name, file.size, file.sha256, files, findings):
        return None, None
    return sums, file.size


def _check_rows(shard: str, file: HashedFile, rows: Rows, stated: Stated, findings: Findings) -> FrameSums | None:
    """Compares every record with its row; gives the sums unless a record is damaged or missing."""
    name = records_path(shard)
    sums: FrameSums | None = None
    is_intact = True
    for row in rows:
        which = f"{row['utterance_id']} copy {row['copy']} at byte {row['offset']}"
        if row["offset"] != file.position or row["length"] < FRAME_BYTES:
            text = f"the record before it ends at byte {file.position}, its own length is {row['length']}"
            findings.add(index_path(shard), f"{which}: {text}")
            return None
        record = file.take(row["length"])
        if len(record) < row["length"]:
            findings.add(name, f"{which}: the file ends after {len(record)} of its {row['length']} bytes")
            return None
        try:
            example = decode_example(unframe(record))
        except StoreError as error:
            findings.add(name, f"{which}: {error}")
            is_intact = False
            continue
        for text in disagreements(example, row, stated.n_bins):
            findings.add(name, f"{which}: {text}")
        n_bins = example.features.shape[1]
        sums = sums or FrameSums(n_bins)
        if shard_split(shard) == "train" and example.copy == 0 and len(sums.total) == n_bins:
            sums.add(example.features)
    if file.position < file.size:
        findings.add(name, f"{file.size - file.position} bytes after the last record of the index")
        return None
    if not is_intact:
        return None
    return sums or FrameSums(stated.n_bins or 1)


def _check_frames(name: str, file: HashedFile, findings: Findings) -> None:
    """Checks records without an index, up to the first that is damaged: where the next one begins is then unknown."""
    while file.position < file.size:
        which = f"the record at byte {file.position}"
        header = file.take(HEADER_BYTES)
        try:
            record = header + file.take(payload_length(header) + FRAME_BYTES - HEADER_BYTES)
            example = decode_example(unframe(record))
        except StoreError as error:
            findings.add(name, f"{which}: {error}")
            return
        if not np.isfinite(example.features).all():
            findings.add(name, f"{which}: {example.utterance_id} has values that are not finite")
