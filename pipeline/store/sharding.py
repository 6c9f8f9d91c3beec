"""Which shard an utterance belongs to, where in it an example stands, and how many shards a split has.

Both places follow from SHA-256 of a salt, the split and the utterance id, so they depend on no other utterance, no order
and no number of workers. SHA-256 because it is the same everywhere and its digest is uniform for ids that differ in one
digit only. Another hash or salt gives another store: raise `FORMAT_VERSION` with it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import pyarrow as pa

from pipeline.corpus.schema import SPLITS
from pipeline.errors import ParamsError
from pipeline.frontends import FeatureParams
from pipeline.params import AugmentParams, StoreParams
from pipeline.store.lineage import digest
from pipeline.store.schema import shard_name

_SALT: Final = "bonafide-1"
_RECORD_OVERHEAD_BYTES: Final = 230
_FEWEST_SHARDS: Final = 8
# Five digits of a shard's name.
_MOST_SHARDS: Final = 99_999


@dataclass(frozen=True, slots=True)
class Source:
    """One row of the manifest, as a worker needs it.

    Attributes:
        problem: "reason: detail" where the manifest could not use the file.
    """

    utterance_id: str
    speaker_id: str | None
    attack_id: str | None
    label: int | None
    path: str
    sha256: str | None
    problem: str | None


@dataclass(frozen=True)
class Shard:
    """The unit of work: a shard's name and its utterances, sorted by id."""

    name: str
    split: str
    sources: tuple[Source, ...]

    def fingerprint(self, config_fingerprint: str) -> str:
        """SHA-256 over everything that decides the shard's bytes: parameters, versions, its utterances' audio and labels."""
        rows = [asdict(source) for source in self.sources]
        return digest({"config_fingerprint": config_fingerprint, "shard": self.name, "utterances": rows})


def plan_shards(manifest: pa.Table, store: StoreParams, features: FeatureParams, augment: AugmentParams) -> list[Shard]:
    """Cuts a manifest into shards, all of them, also empty ones, in the order of their names.

    Args:
        manifest: Table with the columns of `MANIFEST_SCHEMA`.
        store: Number of shards, or their target size.
        features: For the expected size of an example.
        augment: Number of copies in train.
    """
    expected = expected_bytes(manifest, features, augment)
    return cut(manifest, {split: shard_count(expected[split], store) for split in SPLITS})


def cut(manifest: pa.Table, counts: Mapping[str, int]) -> list[Shard]:
    """Cuts a manifest into this many shards per split, all of them, also empty ones, in the order of their names."""
    members: dict[tuple[str, int], list[Source]] = defaultdict(list)
    columns = ("split", "utterance_id", "speaker_id", "attack_id", "label", "path", "sha256", "problem")
    for split, utterance_id, *rest in zip(*(manifest[name].to_pylist() for name in columns), strict=True):
        members[split, shard_number(split, utterance_id, counts[split])].append(Source(utterance_id, *rest))
    return [
        Shard(
            shard_name(split, number, counts[split]),
            split,
            tuple(sorted(members.get((split, number), ()), key=lambda source: source.utterance_id)),
        )
        for split in SPLITS
        for number in range(counts[split])
    ]


def expected_bytes(manifest: pa.Table, features: FeatureParams, augment: AugmentParams) -> dict[str, int]:
    """Expected size of each split's records in bytes, from the durations in the manifest."""
    total = dict.fromkeys(SPLITS, 0)
    for split, duration in zip(manifest["split"].to_pylist(), manifest["duration_s"].to_pylist(), strict=True):
        if duration is not None:
            total[split] += (1 + copies(split, augment)) * example_bytes(duration, features)
    return total


def example_bytes(duration_s: float, features: FeatureParams) -> int:
    """Expected size in bytes of the record of one example that lasts `duration_s` seconds."""
    per_second = features.sample_rate / features.hop_length * features.n_bins * 2
    return int(duration_s * per_second) + _RECORD_OVERHEAD_BYTES


def shard_count(size: int, store: StoreParams) -> int:
    """Shards of a split of `size` expected bytes: as given, or the power of two from 8 on nearest to the target size.

    Raises:
        ParamsError: There would be more shards than names.
    """
    if store.shards != "auto":
        return store.shards
    target = store.target_shard_mib * 2**20
    count = _FEWEST_SHARDS
    while abs(size / (2 * count) - target) < abs(size / count - target):
        count *= 2
    if count > _MOST_SHARDS:
        raise ParamsError(
            f"a split would have {count:,} shards, but their names have room for {_MOST_SHARDS:,}; "
            f"raise store.target_shard_mib above {store.target_shard_mib:g}"
        )
    return count


def copies(split: str, augment: AugmentParams) -> int:
    """Augmented copies of each clip of a split: only train has any."""
    return augment.copies if split == "train" else 0


def shard_number(split: str, utterance_id: str, count: int) -> int:
    """Which of a split's `count` shards an utterance belongs to."""
    return _hash(split, utterance_id) * count >> 64


def place_in_shard(split: str, utterance_id: str, copy: int) -> tuple[int, str, int]:
    """The sort key of an example inside its shard."""
    return _hash(split, utterance_id, str(copy)), utterance_id, copy


def _hash(*parts: str) -> int:
    """A uniform number in [0, 2^64). The separator cannot occur in a part, so no two lists of parts collide."""
    return int.from_bytes(hashlib.sha256("\x00".join((_SALT, *parts)).encode()).digest()[:8], "big")
