"""Verification of a feature store: every promise of its format is checked against its bytes.

Every byte of every file is read once, in blocks, so memory holds the tables of a shard and the ids of the store. store.json
states the SHA-256 of every file and of itself, so any changed, cut or added byte is found. Records are also checked one by
one, to say which one is damaged.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from pipeline.errors import StoreError
from pipeline.storage import Storage, open_storage
from pipeline.store.checks.findings import Finding, Findings
from pipeline.store.checks.manifest import shards_of_manifest
from pipeline.store.checks.shard import CheckedShard, check_shard
from pipeline.store.checks.stated import Stated
from pipeline.store.checks.store_file import check_counts, check_statistics, check_store_file, check_strays
from pipeline.store.damage import damaged, damaged_store
from pipeline.store.schema import STORE_FILE, in_order, index_path, is_store_file, shard_of


def verify(
    url: Storage | str | Path,
    manifest: pa.Table | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    workers: int = 1,
) -> list[Finding]:
    """Checks a feature store in full.

    Args:
        url: Local folder, or `s3://…` or `gs://…`.
        manifest: Table with the columns of `MANIFEST_SCHEMA` that the store was made from; None checks the store against
            itself only.
        on_progress: Called with the number of shards checked so far and in all.
        workers: Number of threads; each checks one shard at a time.

    Returns:
        What is wrong, sorted by shard and file; nothing for an intact store.

    Raises:
        StoreError: There is no store at all.
    """
    storage = url if isinstance(url, Storage) else open_storage(url)
    present = storage.list()
    if not any(is_store_file(name) for name in present):
        raise StoreError(f"{storage.url}: no feature store; make one with `bonafide features`")
    whole = Findings()
    info = check_store_file(storage, whole)
    stated = Stated.by(info)
    named = set(stated.files)
    check_strays(present, storage.leftovers(), named, whole)
    files = named.union(filter(is_store_file, present)) - {STORE_FILE}
    shards = in_order({shard_of(name) for name in files})
    # Shards of stray files are checked as well, but do not count.
    own = {shard for shard in shards if not named or index_path(shard) in named}
    expected = None if manifest is None else shards_of_manifest(manifest, own)

    def check(shard: str) -> CheckedShard:
        return check_shard(storage, shard, stated, None if expected is None else expected.get(shard))

    checked: list[CheckedShard] = []
    with ThreadPoolExecutor(workers) as pool:
        for result in pool.map(check, shards):
            checked.append(result)
            on_progress(len(checked), len(shards))
    _check_ids(checked, whole)
    if info is not None and stated.n_bins is not None:
        counted = [result for result in checked if result.shard in own]
        check_counts(info, counted, whole)
        check_statistics(info, stated.n_bins, counted, whole)
    if expected is not None:
        for shard in expected.keys() - set(shards):
            whole.add(STORE_FILE, f"the manifest has utterances of {shard}, the store has no such shard")
    return sorted([*whole, *(finding for result in checked for finding in result.findings)])


def require_intact(url: Storage | str | Path) -> None:
    """Checks a feature store in full.

    Raises:
        StoreError: There is no store, or something is wrong with it.
    """
    findings = verify(url)
    if findings:
        storage = url if isinstance(url, Storage) else open_storage(url)
        more = f", and {len(findings) - 1} more findings" if len(findings) > 1 else ""
        first = f"{findings[0].file}: {findings[0].text}{more}"
        raise damaged(storage, findings[0].shard, first) if findings[0].shard else damaged_store(storage, first)


def _check_ids(checked: Iterable[CheckedShard], findings: Findings) -> None:
    """Finds utterances that are in two shards, of one split or of two."""
    first: dict[str, str] = {}
    for result in checked:
        for utterance_id in result.utterance_ids:
            other = first.setdefault(utterance_id, result.shard)
            if other != result.shard:
                findings.add(index_path(result.shard), f"{utterance_id} is in {other} as well")
