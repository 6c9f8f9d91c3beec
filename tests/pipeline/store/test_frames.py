"""Frames read on their own are those of the full decoder."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus.schema import MANIFEST_SCHEMA
from pipeline.errors import StoreError
from pipeline.store import FeatureStore
from pipeline.store.frames import FrameReader
from pipeline.store.schema import index_path, records_path
from tests.support.synthetic_store import manifest_row, small_params, write_store


def assorted(split: str, number: int) -> dict[str, Any]:
    """Rows whose records differ in the length of every field."""
    return manifest_row(
        split,
        number,
        utterance_id=f"{'ü' * (number % 3)}{split}-{'x' * (number * 40 % 300)}{number}",
        speaker_id=(None, "s", "speaker " * 30)[number % 3],
        label=(None, 0, 1)[number % 3] if split == "eval" else number % 2,
    )


@pytest.mark.parametrize("n_bins", [1, 80, 512])
def test_every_frame_is_that_of_the_full_decoder(tmp_path: Path, n_bins: int) -> None:
    rows = [assorted(split, number) for split in ("train", "eval") for number in range(20)]
    write_store(tmp_path, pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), small_params(n_mels=n_bins))
    store = FeatureStore.open(tmp_path)

    reader = FrameReader(store)

    assert reader.n_bins == n_bins
    assert len(store) == 60
    for number, example in enumerate(store):
        assert reader.n_frames[number] == len(example.features)
        for first in range(len(example.features)):
            out = np.empty((len(example.features) - first, n_bins), dtype=np.float16)
            reader.read(number, first, out)
            assert np.array_equal(out, example.features[first:])


def test_a_selection_is_numbered_on_its_own(intact: Path) -> None:
    chosen = FeatureStore.open(intact).select(split="train", copy=1)

    reader = FrameReader(chosen)

    for number, example in enumerate(chosen):
        out = np.empty(example.features.shape, dtype=np.float16)
        reader.read(number, 0, out)
        assert np.array_equal(out, example.features)


def test_a_file_of_another_size_is_an_error(tmp_path: Path, intact: Path) -> None:
    store = shutil.copytree(intact, tmp_path / "store")
    opened = FeatureStore.open(store)
    path = store / records_path(opened.shards("train")[0])
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(StoreError, match=r"store\.json states .*bonafide store verify"):
        FeatureStore.open(store)


def test_a_file_cut_later_is_an_error_when_its_frames_are_read(tmp_path: Path, intact: Path) -> None:
    store = shutil.copytree(intact, tmp_path / "store")
    opened = FeatureStore.open(store)
    reader = FrameReader(opened)
    (store / records_path(opened.index["shard"][0].as_py())).write_bytes(b"")

    with pytest.raises(StoreError, match="it was cut"):
        reader.read(0, 0, np.empty((1, reader.n_bins), dtype=np.float16))


def test_a_record_is_checked_when_it_is_first_read(tmp_path: Path, intact: Path) -> None:
    store = shutil.copytree(intact, tmp_path / "store")
    opened = FeatureStore.open(store)
    rows = opened.index.slice(0, 2).to_pylist()
    path = store / records_path(rows[0]["shard"])
    data = bytearray(path.read_bytes())
    data[rows[1]["offset"] + rows[1]["length"] - 6] ^= 1
    path.write_bytes(data)
    reader = FrameReader(FeatureStore.open(store))
    out = np.empty((1, reader.n_bins), dtype=np.float16)

    reader.read(0, 0, out)
    for _ in range(2):
        with pytest.raises(StoreError, match=rf"shard {rows[0]['shard']} is damaged.*{rows[1]['utterance_id']}"):
            reader.read(1, 0, out)


def test_a_row_with_more_frames_than_its_record_holds_is_an_error(intact: Path) -> None:
    opened = FeatureStore.open(intact)
    index = pq.read_table(intact / index_path(opened.shards("dev")[0])).replace_schema_metadata(None)
    frames = pa.array([1000] * len(index))
    wrong = index.set_column(index.schema.get_field_index("n_frames"), "n_frames", frames)

    with pytest.raises(StoreError, match="too short for the frames"):
        FrameReader(FeatureStore(opened.storage, opened.info, wrong))
