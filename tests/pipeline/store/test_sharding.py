"""Where an utterance goes depends on its split and id alone; the number of shards on the expected size alone."""

import itertools
import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpus.schema import MANIFEST_SCHEMA
from pipeline.errors import ParamsError
from pipeline.store import FeatureStore
from pipeline.store.digests import canonical_json
from pipeline.store.lineage import differences
from pipeline.store.params import StoreParams
from pipeline.store.sharding import (
    Shard,
    expected_bytes,
    group_by_shard,
    place_in_shard,
    shard_count,
    shard_number,
)
from pipeline.store.verify import verify
from tests.support.synthetic_store import manifest_of, manifest_row, shards_of, small_params, write_store

MIB = 2**20

PINNED = {
    "train-00000-of-00003": ["LA_T_0000000", "LA_T_0000001", "LA_T_0000003", "LA_T_0000006"],
    "train-00001-of-00003": ["LA_T_0000007"],
    "train-00002-of-00003": ["LA_T_0000002", "LA_T_0000004", "LA_T_0000005"],
    "dev-00000-of-00003": [],
    "dev-00001-of-00003": ["LA_D_0000000", "LA_D_0000001"],
    "dev-00002-of-00003": ["LA_D_0000002"],
    "eval-00000-of-00003": ["LA_E_0000002"],
    "eval-00001-of-00003": ["LA_E_0000000"],
    "eval-00002-of-00003": ["LA_E_0000001"],
}
PINNED_PLACES = [6697738265583087620, 1230108041004853228, 17960140632572813450]


def layout(shards: list[Shard]) -> dict[str, list[str]]:
    return {shard.name: [source.utterance_id for source in shard.sources] for shard in shards}


def test_pinned_layout() -> None:
    # Another layout means another FORMAT_VERSION: stores out there are read by it.
    assert layout(shards_of(manifest_of({"train": 8, "dev": 3, "eval": 3}), small_params(shards=3))) == PINNED
    assert [place_in_shard("train", "LA_T_1138215", copy)[0] for copy in range(3)] == PINNED_PLACES


utterance_ids = st.lists(st.text(min_size=1, max_size=12), unique=True, min_size=1, max_size=30)


@settings(max_examples=50)
@given(utterance_ids, st.text(min_size=1, max_size=12), st.integers(1, 9))
def test_another_utterance_leaves_the_places_of_all_others(ids: list[str], other: str, count: int) -> None:
    counts = {"train": count, "dev": 1, "eval": 1}
    rows = [manifest_row("train", 0, utterance_id=name) for name in ids if name != other]
    more = [*rows, manifest_row("train", 0, utterance_id=other)]
    before = layout(group_by_shard(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), counts))
    after = layout(group_by_shard(pa.Table.from_pylist(more, schema=MANIFEST_SCHEMA), counts))
    assert {shard: [name for name in names if name != other] for shard, names in after.items()} == before


@given(st.permutations(range(12)))
def test_order_of_the_manifest_does_not_matter(order: list[int]) -> None:
    rows = [manifest_row("train", number) for number in order]
    shuffled = pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)
    assert shards_of(shuffled, small_params()) == shards_of(manifest_of({"train": 12}), small_params())


@given(st.text(min_size=1), st.integers(1, 99999))
def test_shard_number_is_in_range(utterance_id: str, count: int) -> None:
    assert 0 <= shard_number("eval", utterance_id, count) < count


def test_ids_that_differ_in_one_digit_spread_evenly() -> None:
    numbers = [shard_number("train", f"LA_T_{number:07d}", 16) for number in range(16000)]
    assert all(850 <= numbers.count(shard) <= 1150 for shard in range(16))  # 1000 ± 5 deviations


def test_doubling_the_shards_splits_each_in_two() -> None:
    for number in range(200):
        utterance_id = f"LA_T_{number:07d}"
        assert shard_number("train", utterance_id, 16) // 2 == shard_number("train", utterance_id, 8)


def test_copies_are_spread_inside_the_shard() -> None:
    places = sorted(place_in_shard("train", f"LA_T_{number}", copy) for number in range(200) for copy in (0, 1))
    neighbours = sum(a[1] == b[1] for a, b in itertools.pairwise(places))
    assert neighbours < 10


def test_more_shards_than_utterances_leaves_empty_shards_that_are_part_of_the_store(tmp_path: object) -> None:
    params = small_params(shards=20)
    manifest = manifest_of({"train": 3, "dev": 2, "eval": 0})
    assert [len(shard.sources) for shard in shards_of(manifest, params)].count(0) >= 55
    _, info = write_store(str(tmp_path), manifest, params)
    assert info["splits"]["eval"] == dict.fromkeys(info["splits"]["eval"], 0) | {"shards": 20, "duration_s": 0.0}
    assert verify(str(tmp_path), manifest) == []
    store = FeatureStore.open(str(tmp_path))
    assert len(store) == 3 * 2 + 2
    assert len(store.shards("eval")) == 20


@pytest.mark.parametrize(
    ("size", "count"),
    [(0, 8), (8 * 64 * MIB, 8), (10 * 64 * MIB, 8), (11 * 64 * MIB, 16), (16 * 64 * MIB, 16), (100 * 64 * MIB, 128)],
)
def test_automatic_count_is_the_power_of_two_that_comes_nearest_to_the_target(size: int, count: int) -> None:
    assert shard_count(size, StoreParams(shards="auto", target_shard_mib=64.0)) == count


@given(st.integers(0, 2**42))
def test_automatic_count_is_a_power_of_two_from_eight(size: int) -> None:
    count = shard_count(size, StoreParams(shards="auto", target_shard_mib=64.0))
    assert count >= 8
    assert count & (count - 1) == 0
    assert count == 8 or 32 * MIB < size / count < 128 * MIB


def test_more_shards_than_there_are_names_for_are_refused() -> None:
    with pytest.raises(ParamsError, match=r"131,072 shards.*raise store\.target_shard_mib above 64"):
        shard_count(2**43, StoreParams(shards="auto", target_shard_mib=64.0))


def test_given_count_is_taken_as_it_is() -> None:
    assert shard_count(10**15, StoreParams(shards=5, target_shard_mib=64.0)) == 5


def test_expected_size_is_near_the_real_one(tmp_path: object) -> None:
    params = small_params(n_mels=80, n_copies=2)
    manifest = manifest_of({"train": 50})
    rows = [row | {"duration_s": 0.055} for row in manifest.to_pylist()]  # synthetic clips have 3 to 8 frames
    manifest = pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)
    _, info = write_store(str(tmp_path), manifest, params)
    expected = expected_bytes(manifest, params.features, params.augment.copies)["train"]
    assert info["splits"]["train"]["record_bytes"] == pytest.approx(expected, rel=0.1)


def test_fingerprint_changes_with_everything_that_decides_the_bytes() -> None:
    rows = manifest_of({"train": 5}).to_pylist()
    counts = {"train": 1, "dev": 1, "eval": 1}

    def fingerprint(config: str = "c", **changes: object) -> str:
        table = pa.Table.from_pylist([rows[0] | changes, *rows[1:]], schema=MANIFEST_SCHEMA)
        return group_by_shard(table, counts)[0].fingerprint(config)

    variants = [
        fingerprint(),
        fingerprint(config="d"),
        fingerprint(sha256="0" * 64),
        fingerprint(label=0),
        fingerprint(attack_id="A05"),
        fingerprint(speaker_id="LA_9999"),
        fingerprint(utterance_id="LA_T_other"),
        fingerprint(problem="truncated: cut"),
    ]
    assert len(set(variants)) == len(variants)


def test_canonical_json_is_the_same_for_equal_values() -> None:
    items = [(f"key{number}", number / 7) for number in range(20)]
    random.Random(1).shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(dict(sorted(items)))
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": float("nan")})


def test_differences_name_the_key_and_both_values() -> None:
    old = {"features": {"n_mels": 80, "f_min": 20.0}, "augment": {"noise": {"kinds": ["white"]}}}
    new = {"features": {"n_mels": 96, "f_min": 20.0}, "augment": {"noise": {"kinds": ["white", "pink"]}}, "new": 1}
    assert differences(old, new) == [
        "augment.noise.kinds [white] → [white, pink]",
        "features.n_mels 80 → 96",
        "new absent → 1",
    ]


def test_the_utterances_of_a_shard_are_a_sequence_without_an_object_for_each() -> None:
    sources = shards_of(manifest_of({"train": 12}), small_params(shards=1))[0].sources
    names = [f"LA_T_{number:07d}" for number in range(12)]
    assert [source.utterance_id for source in sources] == names
    assert (len(sources), sources[3].utterance_id, sources[-1].utterance_id) == (12, names[3], names[-1])
    assert [source.utterance_id for source in sources[:2]] == names[:2]
    assert sources == tuple(sources)
