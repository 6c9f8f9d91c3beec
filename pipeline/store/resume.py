"""Which shards of a store are due: the files found are compared with what a run asks for."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.corpus.schema import SPLITS
from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.lineage import Config, described, differences
from pipeline.store.reader import parse_part
from pipeline.store.schema import (
    INDEX_FOLDER,
    METADATA_KEY,
    STORE_FILE,
    index_path,
    is_store_file,
    records_path,
    rejects_path,
    shard_of,
    shard_split,
)
from pipeline.store.sharding import Shard

_PART_KEYS: Final = frozenset({"shard_fingerprint", "config", "files", "rejects", "frame_sums"})


# Reasons that lie in the surroundings, not in the file: the next run looks again.
_PASSING_REASONS: Final = frozenset({"missing", "unreadable", "changed"})


@dataclass(frozen=True)
class ResumePlan:
    """What a run finds when it begins.

    Attributes:
        pending: Shards to write.
        kept: Names of the shards that are already as they should be.
        stale: Names of files that belong to no shard of the plan, or to another configuration.
        changes: What differs from the configuration that wrote the store, as "features.n_mels 80 → 96".
        split_changes: Splits whose number of shards changed, as "train 8 → 16 shards".
    """

    pending: list[Shard]
    kept: list[str]
    stale: list[str]
    changes: list[str]
    split_changes: list[str]


def plan_resume(storage: Storage, shards: Sequence[Shard], config: Config) -> ResumePlan:
    """Compares the files of a store with the plan of a run. Changes nothing.

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
    present_set = set(present)
    pending: list[Shard] = []
    kept: list[str] = []
    changes: list[str] = []
    planned: set[str] = {STORE_FILE}
    for shard in shards:
        planned.update((records_path(shard.name), index_path(shard.name), rejects_path(shard.name)))
        if index_path(shard.name) not in present_set:
            pending.append(shard)
            continue
        metadata = part_metadata(storage, shard.name)
        if metadata is None:
            pending.append(shard)
            continue
        changes = changes or differences(metadata["config"], config.as_dict())
        if _is_current(storage, metadata, shard, config):
            kept.append(shard.name)
        else:
            pending.append(shard)
    stale = [name for name in present if name not in planned]
    if not changes and not kept and stale:
        changes = _changes_of_stale(storage, stale, config)
    return ResumePlan(pending, kept, stale, changes, _split_changes(present, shards))


def rejects_if_committed(storage: Storage, shard: Shard, config: Config) -> int | None:
    """How many utterances a shard that is already as a run wants it rejected; None where it is still to be written."""
    metadata = part_metadata(storage, shard.name)
    if metadata is None or not _is_current(storage, metadata, shard, config):
        return None
    return int(metadata["rejects"])


def discard_stale(storage: Storage, plan: ResumePlan) -> None:
    """Removes what the run must not keep, before it begins: the store is incomplete, and no shard that is due counts."""
    if plan.pending or plan.stale:
        storage.delete(STORE_FILE)
    due = [index_path(shard.name) for shard in plan.pending]
    # Index parts first: a shard stops counting before its records go.
    for name in due + sorted(plan.stale, key=lambda name: not name.startswith(f"{INDEX_FOLDER}/")):
        storage.delete(name)
    if plan.changes:
        for shard in plan.pending:
            storage.delete(records_path(shard.name))
            storage.delete(rejects_path(shard.name))


def part_metadata(storage: Storage, shard: str) -> dict[str, Any] | None:
    """What a shard's index part says about the shard, or None where it cannot be read as a whole."""
    try:
        index = parse_part(storage.read(index_path(shard)), index_path(shard))
        metadata = json.loads(index.schema.metadata[METADATA_KEY])
    except (StoreError, KeyError, TypeError, ValueError):
        return None
    return metadata if isinstance(metadata, dict) and metadata.keys() >= _PART_KEYS else None


def _is_current(storage: Storage, metadata: Mapping[str, Any], shard: Shard, config: Config) -> bool:
    """Whether a committed shard is of these parameters and utterances, its files are there in full and its rejects stand.

    A file that only the surroundings kept from being read (missing, unreadable, changed) is looked at again, unless the
    manifest already said so.
    """
    if metadata["shard_fingerprint"] != shard.fingerprint(config.fingerprint):
        return False
    if any(
        not storage.exists(name) or storage.size(name) != entry["size"] for name, entry in metadata["files"].items()
    ):
        return False
    known = {source.utterance_id for source in shard.sources if source.problem is not None}
    data = storage.read(rejects_path(shard.name))
    if described(data) != metadata["files"][rejects_path(shard.name)]:
        return False
    return not any(
        row["reason"] in _PASSING_REASONS and row["utterance_id"] not in known
        for row in parse_part(data, rejects_path(shard.name)).to_pylist()
    )


def _changes_of_stale(storage: Storage, stale: Iterable[str], config: Config) -> list[str]:
    for name in stale:
        if name.startswith(f"{INDEX_FOLDER}/"):
            metadata = part_metadata(storage, shard_of(name))
            if metadata is not None:
                return differences(metadata["config"], config.as_dict())
    return []


def _split_changes(present: Iterable[str], shards: Sequence[Shard]) -> list[str]:
    found: dict[str, set[int]] = {}
    for name in present:
        if name.startswith(f"{INDEX_FOLDER}/"):
            shard = shard_of(name)
            found.setdefault(shard_split(shard), set()).add(int(shard.rsplit("-", 1)[1]))
    planned = Counter(shard.split for shard in shards)
    return [
        f"{split} {max(counts)} → {planned[split]} shards"
        for split, counts in sorted(found.items(), key=lambda item: SPLITS.index(item[0]))
        if planned[split] not in counts
    ]
