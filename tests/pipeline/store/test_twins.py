"""What `verify` says of twins that a faulty writer made."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.storage import open_storage
from pipeline.store import FeatureStore
from pipeline.store.close import close_store
from pipeline.store.counts import attack_counts, twin_counts
from pipeline.store.verify import verify
from pipeline.store.writer import StoredExample, Twin, write_shard
from tests.support.synthetic_store import config_of, examples_of, manifest_of, shards_of, small_params, write_store

PARAMS = small_params(n_copies=1, n_twins=2)
MANIFEST = manifest_of()


def findings_of(folder: Path, spoil: Callable[[StoredExample], StoredExample | None]) -> list[str]:
    storage, config, shards = open_storage(folder), config_of(PARAMS), shards_of(MANIFEST, PARAMS)
    for shard in shards:
        items = [spoil(item) if isinstance(item, StoredExample) else item for item in examples_of(shard, PARAMS)]
        write_shard(storage, shard, config, [item for item in items if item is not None])
    close_store(storage, shards, config)
    return [finding.text for finding in verify(folder, MANIFEST)]


def test_a_store_with_twins_is_intact_and_counts_them_apart(tmp_path: Path) -> None:
    write_store(tmp_path, MANIFEST, PARAMS)
    assert verify(tmp_path, MANIFEST) == []
    store = FeatureStore.open(tmp_path)
    # Three of nine train clips are bona fide.
    assert twin_counts(store.index) == {"CS-lpc": 3 * 2 * 2}
    assert set(attack_counts(store.index)) == {"bona fide", "A01", "A02"}
    assert store.info["splits"]["train"]["bona_fide"] == 3
    assert store.info["splits"]["train"]["examples"] == 9 * 2 + 12


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda item: replace(item, twin=None) if item.copy == 3 else item, "twin_of is None, expected 0"),
        (lambda item: replace(item, twin=Twin(1, "CS-lpc")) if item.copy == 3 else item, "twin_of is 1, expected 0"),
        (lambda item: replace(item, twin=Twin(0, "CS-lpc")) if item.copy == 1 else item, "twin_of is 0, expected None"),
        (
            lambda item: replace(item, twin=Twin(0, "A01")) if item.copy == 2 else item,
            "has the attack A01, but is a twin",
        ),
        (lambda item: None if item.copy == 5 else item, "expected 0 to 5"),
    ],
)
def test_twins_that_do_not_fit_are_found(
    tmp_path: Path, spoil: Callable[[StoredExample], StoredExample | None], text: str
) -> None:
    assert text in "\n".join(findings_of(tmp_path, spoil))
