"""Checks of a shard's tables: its parts of the index and of the rejects, alone and against each other."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from pipeline.corpus.schema import REJECT_REASONS, SPOOF, TWIN_ATTACK_PREFIX
from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.checks.files import check_file
from pipeline.store.checks.findings import Findings
from pipeline.store.checks.stated import Stated
from pipeline.store.digests import digest, file_entry
from pipeline.store.parts import metadata_of, parse_part
from pipeline.store.schema import STORE_FILE, index_path, rejects_path, shard_position, shard_split
from pipeline.store.sharding import place_in_shard, shard_number, twin_of, twins

Rows: TypeAlias = Sequence[Mapping[str, Any]]
"""The rows of a table, as values by column."""


def read_part(
    storage: Storage, name: str, schema: pa.Schema, files: Mapping[str, Any], findings: Findings
) -> pa.Table | None:
    """Reads a part of the index or of the rejects; None where it is damaged, so that nothing else of it is checked."""
    try:
        data = storage.read(name)
        if not check_file(name, **file_entry(data), files=files, findings=findings):
            return None
        table = parse_part(data, name)
    except StoreError as error:
        findings.add(name, str(error))
        return None
    if not table.schema.equals(schema):
        findings.add(name, "its columns are not those of this format version")
        return None
    return table


def read_metadata(shard: str, index: pa.Table, stated: Stated, findings: Findings) -> Mapping[str, Any] | None:
    """Reads the metadata of an index part and compares it with store.json; None where it cannot be read."""
    name = index_path(shard)
    try:
        metadata = metadata_of(index, name)
    except StoreError as error:
        findings.add(name, str(error))
        return None
    for file, entry in metadata["files"].items():
        if entry != stated.files.get(file, entry):
            findings.add(name, f"it states another size or SHA-256 for {file} than {STORE_FILE}")
    if stated.config_fingerprint not in (None, digest(metadata["config"])):
        findings.add(name, "it was written with other parameters or versions than the store")
    return metadata


def check_rows(shard: str, rows: Rows, stated: Stated, findings: Findings) -> None:
    """Checks that each row is in the right shard, once, in the order of the format, with all of its copies."""
    name, split = index_path(shard), shard_split(shard)
    number, count = shard_position(shard)
    for (utterance_id, copy), times in Counter((row["utterance_id"], row["copy"]) for row in rows).items():
        if times > 1:
            findings.add(name, f"{utterance_id} copy {copy} stands {times} times")
    places = [place_in_shard(split, row["utterance_id"], row["copy"]) for row in rows]
    if places != sorted(places):
        findings.add(name, "its rows are not in the order of the format")
    for row in rows:
        if row["shard"] != shard or row["split"] != split:
            findings.add(name, f"{row['utterance_id']} is said to be in {row['shard']} of {row['split']}")
        elif shard_number(split, row["utterance_id"], count) != number:
            findings.add(name, f"{row['utterance_id']} belongs to another shard")
        if not (math.isfinite(row["duration_s"]) and row["duration_s"] > 0):
            findings.add(name, f"{row['utterance_id']} copy {row['copy']} has a duration of {row['duration_s']} s")
    copies = stated.copies(split)
    if copies is not None and stated.train_twins is not None:
        _check_copies(name, split, rows, copies, stated.train_twins, findings)
        _check_twins(name, rows, copies, stated.train_twins, findings)


def _check_copies(name: str, split: str, rows: Rows, copies: int, n_twins: int, findings: Findings) -> None:
    found: dict[str, set[int]] = {}
    for row in rows:
        found.setdefault(row["utterance_id"], set()).add(row["copy"])
    labels = {row["utterance_id"]: row["label"] for row in rows if row["copy"] == 0}
    for utterance_id, numbers in found.items():
        last = copies + twins(split, labels.get(utterance_id), copies, n_twins)
        if numbers != set(range(last + 1)):
            findings.add(name, f"{utterance_id} has copies {sorted(numbers)}, expected 0 to {last}")


def _check_twins(name: str, rows: Rows, copies: int, n_twins: int, findings: Findings) -> None:
    """Checks that twins, and no other rows, name their copy, are spoof and have an attack of copy-synthesis."""
    for row in rows:
        which = f"{row['utterance_id']} copy {row['copy']}"
        expected = twin_of(row["copy"], copies, n_twins) if n_twins else None
        if row["twin_of"] != expected:
            findings.add(name, f"{which}: twin_of is {row['twin_of']}, expected {expected}")
        is_named = (row["attack_id"] or "").startswith(TWIN_ATTACK_PREFIX)
        if is_named != (expected is not None):
            findings.add(
                name, f"{which} has the attack {row['attack_id']}, but is {'a' if expected is not None else 'no'} twin"
            )
        if expected is not None and row["label"] != SPOOF:
            findings.add(name, f"{which} is a twin, but its label is {row['label']}")


def check_rejects(shard: str, rejected: Rows, findings: Findings) -> None:
    """Checks that each reject has a known reason, the split of the shard, and stands once."""
    name, split = rejects_path(shard), shard_split(shard)
    for row in rejected:
        if row["reason"] not in REJECT_REASONS:
            findings.add(name, f"{row['utterance_id']}: unknown reason {row['reason']!r}")
        if row["split"] != split:
            findings.add(name, f"{row['utterance_id']} is said to be of {row['split']}")
    for utterance_id, times in Counter(row["utterance_id"] for row in rejected).items():
        if times > 1:
            findings.add(name, f"{utterance_id} stands {times} times")


def check_stored_or_rejected(shard: str, rows: Rows, rejected: Rows, findings: Findings) -> None:
    """Checks that no utterance is both stored and rejected."""
    for utterance_id in sorted(_ids(rows) & _ids(rejected)):
        findings.add(rejects_path(shard), f"{utterance_id} is rejected, but stored as well")


def _ids(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    return {row["utterance_id"] for row in rows}
