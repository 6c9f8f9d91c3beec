"""The checks of one shard in their order: index part, rejects, records, then all against the manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.storage import Storage
from pipeline.store.checks.findings import Finding, Findings
from pipeline.store.checks.manifest import check_against_manifest
from pipeline.store.checks.records import check_records
from pipeline.store.checks.stated import Stated
from pipeline.store.checks.tables import (
    check_rejects,
    check_rows,
    check_stored_or_rejected,
    read_metadata,
    read_part,
)
from pipeline.store.counts import COUNTED
from pipeline.store.schema import INDEX_SCHEMA, REJECTS_SCHEMA, index_path, rejects_path
from pipeline.store.sharding import Shard


@dataclass(frozen=True)
class CheckedShard:
    """A checked shard, with what the checks of the whole store need of it; None where it could not be read.

    Attributes:
        shard: Name of the shard.
        findings: What is wrong with it.
        utterance_ids: Ids of its utterances, stored or rejected, sorted.
        index: Its rows of the index, with the columns copy, label and duration_s.
        n_rejects: Number of its rejects.
        record_bytes: Size of its records file.
        frame_sums: Sums over the frames of its train originals, as an index part states them.
    """

    shard: str
    findings: list[Finding]
    utterance_ids: list[str]
    index: pa.Table | None
    n_rejects: int | None
    record_bytes: int | None
    frame_sums: Mapping[str, Any] | None


def check_shard(storage: Storage, shard: str, stated: Stated, expected: Shard | None) -> CheckedShard:
    """Checks the files of one shard.

    Args:
        storage: Storage of the store.
        shard: Name of the shard.
        stated: Statements of store.json.
        expected: The shard as the manifest gives it; None to check the store against itself only.
    """
    findings = Findings(shard)
    index = read_part(storage, index_path(shard), INDEX_SCHEMA, stated.files, findings)
    metadata = None if index is None else read_metadata(shard, index, stated, findings)
    # Without a usable store.json, the index part states size and SHA-256 of the shard's other files.
    files = stated.files or (metadata["files"] if metadata else {})
    rejects = read_part(storage, rejects_path(shard), REJECTS_SCHEMA, files, findings)
    rows = None if index is None else index.to_pylist()
    rejected = None if rejects is None else rejects.to_pylist()
    if rows is not None:
        check_rows(shard, rows, stated, findings)
    if rejected is not None:
        check_rejects(shard, rejected, findings)
    if rows is not None and rejected is not None:
        check_stored_or_rejected(shard, rows, rejected, findings)
    sums, record_bytes = check_records(storage, shard, rows, files, stated, findings)
    if metadata is not None:
        if sums is not None and not sums.agrees_with(metadata["frame_sums"]):
            findings.add(index_path(shard), "the sums over its frames are not those of its records")
        if rejected is not None and metadata["rejects"] != len(rejected):
            text = f"it counts {metadata['rejects']} rejects, {rejects_path(shard)} has {len(rejected)}"
            findings.add(index_path(shard), text)
        if rows is not None and expected is not None:
            check_against_manifest(expected, metadata, rows, rejected or [], findings)
    return CheckedShard(
        shard=shard,
        findings=list(findings),
        utterance_ids=sorted({row["utterance_id"] for row in [*(rows or ()), *(rejected or ())]}),
        index=None if index is None else index.select(COUNTED),
        n_rejects=None if rejected is None else len(rejected),
        record_bytes=record_bytes,
        frame_sums=None if sums is None else sums.as_dict(),
    )
