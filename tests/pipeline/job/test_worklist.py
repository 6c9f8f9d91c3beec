"""The worklist beside a store: workers read what was planned, and the files are removed after the run."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.job.worklist import Worklist, orphaned_job, work_folder, worklist
from pipeline.store.sharding import Shard, Source

texts = st.text(max_size=20)
sources = st.builds(
    Source,
    utterance_id=texts,
    speaker_id=st.none() | texts,
    attack_id=st.none() | texts,
    label=st.sampled_from([None, 0, 1]),
    path=texts,
    sha256=st.none() | texts,
    problem=st.none() | texts,
)


def shard(number: int, *of: Source) -> Shard:
    return Shard(f"train-{number:05d}-of-00009", "train", of)


def source(number: int) -> Source:
    return Source(f"LA_T_{number:07d}", "LA_0001", None, 1, f"flac/LA_T_{number:07d}.flac", "ab" * 32, None)


@given(st.lists(st.lists(sources, max_size=5), max_size=5))
def test_every_shard_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, lists: list[list[Source]]) -> None:
    url = str(tmp_path_factory.mktemp("list") / "store")
    shards = [shard(number, *listed) for number, listed in enumerate(lists)]
    with worklist(url, shards, "job-1") as tasks:
        assert [Worklist(url).read(task) for task in reversed(tasks)] == shards[::-1]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_the_list_stays(tmp_path: Path, fails: bool) -> None:
    try:
        with worklist(str(tmp_path / "store"), [shard(0, source(0))], "job-1"):
            assert len(list(tmp_path.iterdir())) == 1
            if fails:
                raise StoreError("the disk is full")
    except StoreError:
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_in_the_work_folder_is_removed(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    work_folder(url).write("preflight/0.json", b"{}")
    with worklist(url, [shard(0, source(0))], "job-2"):
        assert work_folder(url).list("preflight/") == []


def test_the_name_of_a_job_is_there_as_long_as_its_command(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    assert orphaned_job(url) is None
    with worklist(url, [shard(0, source(0))], "job-1"):
        assert orphaned_job(url) == "job-1"
    assert orphaned_job(url) is None


def test_the_list_of_another_run_is_not_taken_for_this_ones_though_the_utterances_are_the_same(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    with (
        worklist(url, [shard(0, source(1))], "job-1") as tasks,
        worklist(url, [shard(0, source(1))], "job-2"),
        pytest.raises(StoreError, match="another run is writing"),
    ):
        Worklist(url).read(tasks[0])


def test_the_work_folder_is_beside_the_store_however_that_is_written(tmp_path: Path) -> None:
    assert work_folder(f"{tmp_path}/store/").url == work_folder(f"{tmp_path}/store").url == f"{tmp_path}/.store.work"
    assert (
        work_folder("s3://bucket/a/store/").url == work_folder("s3://bucket/a/store").url == "s3://bucket/a/.store.work"
    )
    assert work_folder("s3://bucket/store").url == "s3://bucket/.store.work"


def test_what_a_runner_carries_does_not_grow_with_the_utterances(tmp_path: Path) -> None:
    def carried(count: int) -> int:
        with worklist(str(tmp_path / "store"), [shard(0, *map(source, range(count)))], "job-1") as tasks:
            return len(pickle.dumps(tasks))

    assert carried(10_000) - carried(1) < 10


def test_a_list_that_is_gone_is_told(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    with worklist(url, [shard(0, source(1))], "job-1") as tasks:
        pass
    with pytest.raises(StoreError, match="no such file"):
        Worklist(url).read(tasks[0])


def test_an_object_store_holds_the_list_beside_the_store(s3_url: str) -> None:
    with worklist(s3_url, [shard(0, source(1)), shard(1)], "job-1") as tasks:
        assert Worklist(s3_url).read(tasks[0]) == shard(0, source(1))
        assert Worklist(s3_url).read(tasks[1]) == shard(1)
