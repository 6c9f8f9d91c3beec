"""Resuming: which shards of a store a run has to write, decided from the files alone.

The files found are compared with what the manifest and the parameters ask for. Nothing is remembered from earlier runs, so a
killed run needs no repair.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.corpus.schema import SPLITS
from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.digests import file_entry
from pipeline.store.lineage import Config, differences
from pipeline.store.parts import metadata_of, parse_part
from pipeline.store.schema import (
    INDEX_FOLDER,
    STORE_FILE,
    index_path,
    is_store_file,
    records_path,
    rejects_path,
    shard_files,
    shard_of,
    shard_position,
    shard_split,
)
from pipeline.store.sharding import Shard

# The cause may lie outside the file and pass, so the next run tries again.
_TRANSIENT_REASONS: Final = frozenset({"missing", "unreadable", "changed"})


@dataclass(frozen=True)
class ResumePlan:
    """What a run has to write, what it keeps, and why.

    Attributes:
        pending: Shards to write.
        kept: Names of the shards that are committed and current.
        stale: Names of files that belong to no shard of the run.
        changes: What differs from the configuration that wrote the store, as "features.n_mels 80 → 96".
        split_changes: Splits whose number of shards changed, as "train 8 → 16 shards".
    """

    pending: list[Shard]
    kept: list[str]
    stale: list[str]
    changes: list[str]
    split_changes: list[str]


def plan_resume(storage: Storage, shards: Sequence[Shard], config: Config) -> ResumePlan:
    """Compares the files of a store with the shards that a run wants. Changes nothing.

    Args:
        storage: Storage of the store.
        shards: All shards of the store, as the manifest gives them.
        config: Configuration of the run.

    Raises:
        StoreError: The folder holds files that are not a store's.
    """
    present = storage.list()
    foreign = [name for name in present if not is_store_file(name)]
    if foreign:
        raise StoreError(
            f"{storage.url} holds files that no feature store has, the first is {foreign[0]}; "
            "name another folder with --output, or move them away"
        )
    found = set(present)
    pending: list[Shard] = []
    kept: list[str] = []
    changes: list[str] = []
    for shard in shards:
        # Only parts that are listed are read: on an object store, every attempt is a request.
        metadata = _committed_metadata(storage, shard.name) if index_path(shard.name) in found else None
        if metadata is None:
            pending.append(shard)
            continue
        changes = changes or differences(metadata["config"], config.as_dict())
        if _is_current(storage, metadata, shard, config):
            kept.append(shard.name)
        else:
            pending.append(shard)
    wanted = {STORE_FILE}.union(*(shard_files(shard.name) for shard in shards))
    stale = [name for name in present if name not in wanted]
    if not changes and not kept and stale:
        changes = _changes_of_stale(storage, stale, config)
    return ResumePlan(pending, kept, stale, changes, _split_changes(present, shards))


def rejects_if_committed(storage: Storage, shard: Shard, config: Config) -> int | None:
    """The number of rejects of a shard that is committed and current; None where the run still has to write it."""
    metadata = _committed_metadata(storage, shard.name)
    if metadata is None or not _is_current(storage, metadata, shard, config):
        return None
    return int(metadata["rejects"])


def discard_stale(storage: Storage, plan: ResumePlan) -> None:
    """Removes the files that a run must not keep. Afterwards the store is incomplete, and no pending shard counts."""
    if plan.pending or plan.stale:
        storage.delete(STORE_FILE)
    uncommitted = [index_path(shard.name) for shard in plan.pending]
    # Index parts first: a shard stops counting before its records are removed.
    for name in uncommitted + sorted(plan.stale, key=lambda name: not name.startswith(f"{INDEX_FOLDER}/")):
        storage.delete(name)
    if plan.changes:
        for shard in plan.pending:
            storage.delete(records_path(shard.name))
            storage.delete(rejects_path(shard.name))


def _committed_metadata(storage: Storage, shard: str) -> dict[str, Any] | None:
    """The metadata of a shard's index part; None where the part is missing or damaged, so that the shard does not count."""
    name = index_path(shard)
    try:
        return metadata_of(parse_part(storage.read(name), name), name)
    except StoreError:
        return None


def _is_current(storage: Storage, metadata: Mapping[str, Any], shard: Shard, config: Config) -> bool:
    """Whether a committed shard has this fingerprint and all of its bytes, and no reject has to be tried again.

    A file that was rejected for a transient reason (missing, unreadable, changed) is tried again, unless the manifest
    already found it so.
    """
    if metadata["shard_fingerprint"] != shard.fingerprint(config.fingerprint):
        return False
    if any(
        not storage.exists(name) or storage.size(name) != entry["size"] for name, entry in metadata["files"].items()
    ):
        return False
    data = storage.read(rejects_path(shard.name))
    if file_entry(data) != metadata["files"][rejects_path(shard.name)]:
        return False
    known = {source.utterance_id for source in shard.sources if source.problem is not None}
    return not any(
        row["reason"] in _TRANSIENT_REASONS and row["utterance_id"] not in known
        for row in parse_part(data, rejects_path(shard.name)).to_pylist()
    )


def _changes_of_stale(storage: Storage, stale: Iterable[str], config: Config) -> list[str]:
    """What differs from the configuration of a stale index part, for a store whose shards all have new names."""
    for name in stale:
        if name.startswith(f"{INDEX_FOLDER}/"):
            metadata = _committed_metadata(storage, shard_of(name))
            if metadata is not None:
                return differences(metadata["config"], config.as_dict())
    return []


def _split_changes(present: Iterable[str], shards: Sequence[Shard]) -> list[str]:
    found: dict[str, set[int]] = {}
    for name in present:
        if name.startswith(f"{INDEX_FOLDER}/"):
            shard = shard_of(name)
            found.setdefault(shard_split(shard), set()).add(shard_position(shard)[1])
    planned = Counter(shard.split for shard in shards)
    return [
        f"{split} {max(counts)} → {planned[split]} shards"
        for split, counts in sorted(found.items(), key=lambda item: SPLITS.index(item[0]))
        if planned[split] not in counts
    ]
