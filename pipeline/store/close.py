"""Closing a store: once every shard is committed and every utterance accounted for, store.json makes the store complete."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.corpus.schema import SPLITS
from pipeline.errors import StoreError
from pipeline.storage import Storage
from pipeline.store.counts import SplitCounts
from pipeline.store.digests import canonical_json, file_entry, own_checksum
from pipeline.store.lineage import Config
from pipeline.store.parts import metadata_of, parse_part
from pipeline.store.schema import FORMAT_VERSION, STORE_FILE, index_path, records_path
from pipeline.store.sharding import Shard
from pipeline.store.statistics import FrameSums


def close_store(storage: Storage, shards: Sequence[Shard], config: Config) -> dict[str, Any]:
    """Checks that every shard is committed and every utterance accounted for, and writes store.json.

    Returns:
        The content of store.json.

    Raises:
        StoreError: A shard is missing or the counts do not add up.
    """
    files: dict[str, dict[str, Any]] = {}
    sums = FrameSums(config.n_bins)
    splits = {split: SplitCounts() for split in SPLITS}
    parts = storage.read_each(index_path(shard.name) for shard in shards)
    for shard, data in zip(shards, parts, strict=True):
        where = storage.url_of(index_path(shard.name))
        index = parse_part(data, where)
        metadata = metadata_of(index, where)
        if metadata["shard_fingerprint"] != shard.fingerprint(config.fingerprint):
            raise StoreError(
                f"{shard.name} was written with other parameters or by another run; run `bonafide features` again"
            )
        files[index_path(shard.name)] = file_entry(data)
        files.update(metadata["files"])
        sums.add_sums(metadata["frame_sums"])
        splits[shard.split].add(index, metadata["rejects"], metadata["files"][records_path(shard.name)]["size"])
    _require_all_accounted(storage, shards, splits)
    statistics = sums.statistics()
    content = {
        "format_version": FORMAT_VERSION,
        "front_end_version": config.versions["front_end"],
        "config_fingerprint": config.fingerprint,
        "parameters": {"features": config.features, "augment": config.augment},
        "versions": config.versions,
        "splits": {split: counts.as_dict() for split, counts in splits.items()},
        "statistics": {
            "mean": statistics.mean.tolist(),
            "deviation": statistics.deviation.tolist(),
            "n_frames": statistics.n_frames,
        },
        "files": files,
    }
    content["sha256"] = own_checksum(content)
    data = canonical_json(content)
    # An unchanged store keeps its file, so that a run without work changes nothing.
    if not (storage.exists(STORE_FILE) and storage.read(STORE_FILE) == data):
        storage.write(STORE_FILE, data)
    return content


def _require_all_accounted(storage: Storage, shards: Sequence[Shard], splits: Mapping[str, SplitCounts]) -> None:
    for split, counts in splits.items():
        expected = sum(len(shard.sources) for shard in shards if shard.split == split)
        if counts.utterances != expected:
            raise StoreError(
                f"{storage.url}: {counts.utterances} utterances of {split} are stored or rejected, but it has "
                f"{expected}; run `bonafide store verify` to see where they differ"
            )
