"""Opening a store, selecting rows, getting examples by id, and reading the index with other people's tools."""

import pickle
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import StoreError
from pipeline.store import Example, FeatureStore
from pipeline.store.schema import INDEX_SCHEMA, REJECTS_SCHEMA
from pipeline.store.sharding import Source
from tests.support.synthetic_store import example_of, manifest_of, small_params, write_store

PARAMS = small_params()
MANIFEST = manifest_of()


@pytest.fixture(scope="module")
def store(intact: Path) -> FeatureStore:
    return FeatureStore.open(intact)


def test_index_has_one_row_per_example_by_split_shard_and_place(store: FeatureStore) -> None:
    assert store.index.schema.equals(INDEX_SCHEMA)
    assert len(store) == store.index.num_rows == 8 * 2 + 6 + 6
    keys = [(("train", "dev", "eval").index(r["split"]), r["shard"], r["offset"]) for r in store.index.to_pylist()]
    assert keys == sorted(keys)


def test_rejects_have_a_reason(store: FeatureStore) -> None:
    rejects = store.rejects()
    assert rejects.schema.equals(REJECTS_SCHEMA)
    assert [(row["utterance_id"], row["reason"]) for row in rejects.to_pylist()] == [("LA_T_0000004", "missing")]


def test_get_gives_what_was_written(store: FeatureStore) -> None:
    for row in MANIFEST.to_pylist():
        for copy in (0, 1) if row["split"] == "train" else (0,):
            if row["utterance_id"] == "LA_T_0000004":
                continue
            source = Source(
                **{
                    name: row[name]
                    for name in ("utterance_id", "speaker_id", "attack_id", "label", "path", "sha256", "problem")
                }
            )
            example = store.get(row["utterance_id"], copy)
            np.testing.assert_array_equal(example.features, example_of(source, copy, 4).features)
            assert (example.speaker_id, example.attack_id) == (row["speaker_id"], row["attack_id"])
            assert (example.label, example.copy) == (row["label"], copy)


@pytest.mark.parametrize(("utterance_id", "copy"), [("LA_T_nix", 0), ("LA_T_0000000", 2), ("LA_T_0000004", 0)])
def test_get_of_what_is_not_there_is_a_key_error(store: FeatureStore, utterance_id: str, copy: int) -> None:
    with pytest.raises(KeyError, match=utterance_id):
        store.get(utterance_id, copy)


def test_row_tells_what_the_index_says(store: FeatureStore) -> None:
    row = store.row("LA_T_0000003", 1)
    assert (row["utterance_id"], row["copy"], row["split"]) == ("LA_T_0000003", 1, "train")
    with pytest.raises(KeyError):
        store.row("LA_T_0000003", 9)


def ids(selection: FeatureStore) -> list[str]:
    return sorted(selection.index["utterance_id"].to_pylist())


@pytest.mark.parametrize(
    ("conditions", "meets"),
    [
        ({"split": "dev"}, lambda row: row["split"] == "dev"),
        ({"split": ["dev", "eval"]}, lambda row: row["split"] != "train"),
        ({"attack_id": "A01"}, lambda row: row["attack_id"] == "A01"),
        ({"speaker_id": ["LA_0001", "LA_0002"]}, lambda row: row["speaker_id"] in ("LA_0001", "LA_0002")),
        ({"label": 1}, lambda row: row["label"] == 1),
        ({"label": 0, "copy": 0}, lambda row: row["label"] == 0 and row["copy"] == 0),
        ({"copy": [1]}, lambda row: row["copy"] == 1),
        ({"min_duration_s": 0.05}, lambda row: row["duration_s"] >= 0.05),
        ({"max_duration_s": 0.05, "min_duration_s": 0.05}, lambda row: row["duration_s"] == 0.05),
        ({"shard": "eval-00000-of-00002"}, lambda row: row["shard"] == "eval-00000-of-00002"),
        ({"attack_id": []}, lambda row: False),
    ],
)
def test_select_gives_the_rows_that_meet_every_condition(
    store: FeatureStore, conditions: dict[str, object], meets: Callable[[dict[str, object]], bool]
) -> None:
    expected = [row for row in store.index.to_pylist() if meets(row)]
    assert store.select(**conditions).index.to_pylist() == expected  # type: ignore[arg-type]


def test_selections_can_be_narrowed_and_read(store: FeatureStore) -> None:
    selection = store.select(split="train").select(label=1, copy=0)
    examples = list(selection)
    assert all(isinstance(example, Example) for example in examples)
    assert [example.utterance_id for example in examples] == selection.index["utterance_id"].to_pylist()
    assert examples
    with pytest.raises(KeyError):
        selection.get("LA_D_0000000")


def test_iter_reads_every_example_in_the_order_of_the_index(store: FeatureStore) -> None:
    keys = zip(store.index["utterance_id"].to_pylist(), store.index["copy"].to_pylist(), strict=True)
    assert [(example.utterance_id, example.copy) for example in store.iter()] == list(keys)


def test_statistics_are_those_of_the_frames_of_train_originals(store: FeatureStore) -> None:
    frames = np.concatenate([example.features for example in store.select(split="train", copy=0)]).astype(float)
    assert store.statistics.n_frames == len(frames)
    np.testing.assert_allclose(store.statistics.mean, frames.mean(axis=0))
    np.testing.assert_allclose(store.statistics.deviation, frames.std(axis=0))


def test_parameters_come_back_as_models(store: FeatureStore) -> None:
    assert store.info["parameters"]["augment"] == PARAMS.augment.model_dump(mode="json")
    assert store.features == PARAMS.features.model_copy(update={"max_reject_fraction": 1.0})
    assert store.shards("dev") == ["dev-00000-of-00002", "dev-00001-of-00002"]
    assert Path(store.records_url("dev-00000-of-00002")).is_file()


def test_store_can_be_sent_to_another_process_and_shared_between_threads(store: FeatureStore) -> None:
    again = pickle.loads(pickle.dumps(store))
    names = [row["utterance_id"] for row in again.index.to_pylist()] * 20
    with ThreadPoolExecutor(8) as pool:
        assert [example.utterance_id for example in pool.map(again.get, names)] == names


def test_reading_every_example_holds_one_at_a_time(tmp_path: Path) -> None:
    params = small_params(shards=1, n_mels=512, n_copies=0)
    write_store(tmp_path, manifest_of({"train": 400}), params)
    store = FeatureStore.open(tmp_path)
    store.get("LA_T_0000000")
    total = store.info["splits"]["train"]["record_bytes"]
    tracemalloc.start()
    for _ in store:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < total / 10


# What is damaged is told


def test_missing_or_incomplete_store(tmp_path: Path, intact: Path) -> None:
    with pytest.raises(StoreError, match="no complete feature store"):
        FeatureStore.open(tmp_path)


@pytest.mark.parametrize("name", ["store.json", "index/dev-00000-of-00002.parquet"])
def test_damaged_tables_are_refused(tmp_path: Path, name: str) -> None:
    write_store(tmp_path, MANIFEST, PARAMS)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="bonafide store verify"):
        FeatureStore.open(tmp_path)


def test_damaged_record_is_refused_by_name(tmp_path: Path) -> None:
    write_store(tmp_path, MANIFEST, PARAMS)
    store = FeatureStore.open(tmp_path)
    row = store.row("LA_D_0000002")
    path = tmp_path / "dev" / f"{row['shard']}.tfrecord"
    data = bytearray(path.read_bytes())
    data[row["offset"] + row["length"] - 10] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"LA_D_0000002 copy 0: the checksum .* `bonafide store verify`"):
        store.get("LA_D_0000002")


def test_store_of_another_format_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"format_version": 99, "sha256": ""}')
    with pytest.raises(StoreError, match="format version 99"):
        FeatureStore.open(tmp_path)


# The index as it is, with other people's tools


def test_duckdb_reads_the_index(intact: Path, store: FeatureStore) -> None:
    import duckdb

    rows = duckdb.sql(
        f"SELECT attack_id, count(*) FROM '{intact}/index/*.parquet' WHERE copy = 0 GROUP BY attack_id ORDER BY attack_id"
    ).fetchall()
    expected = [(attack, len(store.select(attack_id=attack, copy=0))) for attack in ("A01", "A02")]
    assert rows[:2] == expected
    assert rows[2] == (None, len(store.select(label=1, copy=0)))


def test_pandas_reads_the_index(intact: Path, store: FeatureStore) -> None:
    import pandas as pd

    index = pd.read_parquet(intact / "index")
    assert sorted(index["utterance_id"]) == ids(store)
    assert index.groupby("split")["duration_s"].sum()["dev"] == pytest.approx(
        pa.compute.sum(store.select(split="dev").index["duration_s"]).as_py()
    )


def test_polars_reads_the_index(intact: Path, store: FeatureStore) -> None:
    import polars as pl

    index = pl.scan_parquet(intact / "index" / "*.parquet")
    found = index.filter(pl.col("label") == 1, pl.col("split") == "eval").select("utterance_id").collect()
    assert sorted(found["utterance_id"]) == ids(store.select(label=1, split="eval"))
