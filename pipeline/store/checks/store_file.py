"""Checks of store.json: its own bytes, the files that it names, its counts and its statistics."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.corpus.schema import SPLITS
from pipeline.errors import ParamsError, StoreError
from pipeline.storage import Storage
from pipeline.store.checks.findings import Findings
from pipeline.store.checks.shard import CheckedShard
from pipeline.store.counts import SplitCounts
from pipeline.store.digests import canonical_json
from pipeline.store.info import is_own_fingerprint, parse_info, stored_features
from pipeline.store.schema import FORMAT_VERSION, STORE_FILE, is_store_file, shard_split
from pipeline.store.statistics import FrameSums


def check_store_file(storage: Storage, findings: Findings) -> dict[str, Any] | None:
    """Reads store.json and checks its own SHA-256; None where it is missing or damaged."""
    if not storage.exists(STORE_FILE):
        findings.add(STORE_FILE, "missing: the store is not complete; finish it with `bonafide features`")
        return None
    try:
        data = storage.read(STORE_FILE)
    except StoreError as error:
        findings.add(STORE_FILE, str(error))
        return None
    try:
        info = parse_info(data)
        if canonical_json(info) != data:
            raise ValueError("it is not in canonical form")
        if info["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {info['format_version']}, this program checks {FORMAT_VERSION}")
        stored_features(info, storage.url)
    except (ParamsError, ValueError) as error:
        findings.add(STORE_FILE, f"damaged: {error}")
        return None
    if not is_own_fingerprint(info):
        findings.add(STORE_FILE, "config_fingerprint is not that of its parameters and versions")
    return info


def check_strays(present: Iterable[str], leftovers: Iterable[str], named: set[str], findings: Findings) -> None:
    """Finds files that are not of the store.

    Args:
        present: Names of all finished files.
        leftovers: Names of unfinished files.
        named: Names of the files that store.json states; empty where it cannot be used.
        findings: Takes what is wrong.
    """
    for name in present:
        if name != STORE_FILE and (name not in named if named else not is_store_file(name)):
            findings.add(name, f"stray: {STORE_FILE} does not name it" if named else "stray: not a file of a store")
    for name in leftovers:
        findings.add(name, "stray: left by a run that was stopped; `bonafide features` removes it")


def check_counts(info: Mapping[str, Any], checked: Sequence[CheckedShard], findings: Findings) -> None:
    """Counts each split again and compares with store.json; a split with an unreadable shard is left out."""
    for split in SPLITS:
        counts = SplitCounts()
        for result in checked:
            if shard_split(result.shard) != split:
                continue
            if result.index is None or result.n_rejects is None or result.record_bytes is None:
                break
            counts.add(result.index, result.n_rejects, result.record_bytes)
        else:
            stated = info["splits"][split]
            for name, value in counts.as_dict().items():
                if value != stated[name]:
                    findings.add(STORE_FILE, f"{split}: {name} is {stated[name]}, the shards have {value}")


def check_statistics(info: Mapping[str, Any], n_bins: int, checked: Sequence[CheckedShard], findings: Findings) -> None:
    """Computes the statistics again and compares with store.json, if the records of every shard are intact."""
    sums = [result.frame_sums for result in checked if result.frame_sums is not None]
    if len(sums) < len(checked):
        return
    statistics = FrameSums.merged([part for part in sums if len(part["total"]) == n_bins], n_bins)
    if not statistics.agrees_with(info["statistics"]):
        findings.add(STORE_FILE, "its statistics are not those of the records of train")
