"""What a store holds, counted from its index, for tables and pictures."""

from collections import Counter

import pyarrow.compute as pc

from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_name
from pipeline.store.reader import FeatureStore


def attack_counts(store: FeatureStore) -> dict[str, Counter[str]]:
    """Originals per attack and split; bona fide and unlabelled clips first, then attacks by name."""
    originals = store.index.filter(pc.equal(store.index["copy"], 0))
    counts: dict[str, Counter[str]] = {}
    columns = (originals[name].to_pylist() for name in ("split", "attack_id", "label"))
    for split, attack_id, label in zip(*columns, strict=True):
        name = (attack_id or "unnamed attack") if label == SPOOF else label_name(label)
        counts.setdefault(name, Counter())[split] += 1
    first = (label_name(BONA_FIDE), label_name(None))
    return dict(sorted(counts.items(), key=lambda item: (item[0] not in first, item[0])))
