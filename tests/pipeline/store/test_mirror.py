"""Local copies of the records of a store in a bucket."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import StoreError
from pipeline.store import FeatureStore
from pipeline.store.frames import FrameReader
from pipeline.store.mirror import mirrored
from tests.support.small_disk import small_disk
from tests.support.synthetic_store import files_of, manifest_of, small_params, write_store

Told = list[tuple[int, int]]


def remote_store(url: str, **counts: int) -> FeatureStore:
    write_store(url, manifest_of(counts or None), small_params())
    return FeatureStore.open(url)


def values_of(store: FeatureStore) -> dict[tuple[str, int], bytes]:
    return {(example.utterance_id, example.copy): example.features.tobytes() for example in store}


def copied(store: FeatureStore, cache: Path) -> Told:
    """Copies the records of train and dev; gives what was told."""
    told: Told = []
    with mirrored(store, ("train", "dev"), cache, lambda *numbers: told.append(numbers)):
        pass
    return told


def test_records_are_copied_once_and_are_those_of_the_bucket(tmp_path: Path, object_url: str) -> None:
    store = remote_store(object_url)
    expected = values_of(store.select(split=("train", "dev")))
    told: Told = []
    for _ in range(2):
        with mirrored(store, ("train", "dev"), tmp_path / "cache", lambda *numbers: told.append(numbers)) as copy:
            assert not copy.records.remote
            assert values_of(copy.select(split=("train", "dev"))) == expected
            reader = FrameReader(copy)
            frames = np.empty((reader.n_frames[0], reader.n_bins), np.float16)
            reader.read(0, 0, frames)
            assert frames.tobytes() == next(iter(copy)).features.tobytes()
            assert copy.storage.url == object_url
    n_bytes = sum(size for name, (size, _) in sizes(store).items() if not name.startswith("eval"))
    assert told == [(4, n_bytes)]
    assert len(files_of(tmp_path / "cache")) == 4


def sizes(store: FeatureStore) -> dict[str, tuple[int, str]]:
    """Size and checksum of each file of records."""
    files = store.info["files"].items()
    return {name: (entry["size"], entry["sha256"]) for name, entry in files if name.endswith(".tfrecord")}


def test_a_local_store_is_not_copied(tmp_path: Path) -> None:
    store = remote_store(str(tmp_path / "store"))
    with mirrored(store, ("train",), tmp_path / "cache") as same:
        assert same is store
    assert not (tmp_path / "cache").exists()


def test_a_copy_that_was_cut_or_left_unfinished_is_made_again(tmp_path: Path, s3_url: str) -> None:
    store = remote_store(s3_url)
    copied(store, tmp_path)
    whole = files_of(tmp_path)
    first, second = sorted(tmp_path.rglob("*.tfrecord"))[:2]
    first.write_bytes(first.read_bytes()[:-1])
    second.unlink()
    second.with_name(".other.1-00.partial").write_bytes(b"x")
    assert [count for count, _ in copied(store, tmp_path)] == [2]
    assert files_of(tmp_path) == whole


def test_a_store_in_another_state_has_another_copy_and_the_old_one_goes_when_nobody_reads_it(
    tmp_path: Path, s3_url: str
) -> None:
    store = remote_store(s3_url)
    with mirrored(store, ("train", "dev"), tmp_path) as old:
        expected = values_of(old.select(split="dev"))
        newer = remote_store(s3_url, train=12, dev=9, eval=3)
        assert [count for count, _ in copied(newer, tmp_path)] == [4]
        assert values_of(old.select(split="dev")) == expected
    copied(newer, tmp_path)
    assert {path.stat().st_size for path in tmp_path.rglob("*.tfrecord")} == {
        size for name, (size, _) in sizes(newer).items() if not name.startswith("eval")
    }


def test_records_that_are_not_those_of_the_index_are_refused(tmp_path: Path, s3_url: str) -> None:
    store = remote_store(s3_url)
    name = next(name for name in sizes(store) if name.startswith("train"))
    data = bytearray(store.storage.read(name))
    data[len(data) // 2] ^= 1
    store.storage.write(name, bytes(data))
    with pytest.raises(StoreError, match=rf"{name} has other bytes than store.json states"):
        copied(store, tmp_path)
    assert name not in {"/".join(path.parts[-2:]) for path in tmp_path.rglob("*.tfrecord")}


def test_a_disk_without_room_is_told_before_a_byte_is_copied(tmp_path: Path, s3_url: str) -> None:
    store = remote_store(s3_url)
    with (
        small_disk(tmp_path / "disk", "size=200k") as disk,
        pytest.raises(StoreError, match=r"GiB free, .* name another folder with --cache, or read without .* --stream"),
    ):
        copied(store, disk)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot make the folder"):
        copied(store, tmp_path / "file" / "cache")
