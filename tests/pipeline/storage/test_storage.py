"""Storage: what a local folder and the prefix of a bucket both promise, and what each promises alone."""

import contextlib
import logging
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.storage import LargeFileError, LocalStorage, Storage, open_storage
from pipeline.storage.objects import PART_BYTES
from pipeline.storage.s3 import S3Storage
from tests.support.s3_server import S3Server

SEVERAL_PARTS = random.Random(1).randbytes(20 << 20)

HOLDER = """
import sys
import time
from pipeline.storage import lease, open_storage
lease.LEASE_SECONDS, lease.BEAT_SECONDS = float(sys.argv[2]), float(sys.argv[3])
with open_storage(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""

KILLED_WRITER = """
import os, signal, sys
from pipeline.storage import open_storage
with open_storage(sys.argv[1]).create("train/a.tfrecord") as file:
    file.write(bytes(20 << 20))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=["local", "s3", "gs"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    url = str(tmp_path / "store") if request.param == "local" else request.getfixturevalue(f"{request.param}_url")
    return open_storage(url)


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path / "store"))


@contextlib.contextmanager
def holder(storage: Storage, lease_s: float = 60, beat_s: float = 15) -> "Iterator[subprocess.Popen[str]]":
    """Another process that holds the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, storage.url, str(lease_s), str(beat_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def write_and_fail(storage: Storage, size: int) -> None:
    with storage.create("a") as file:
        file.write(SEVERAL_PARTS[:size])
        raise RuntimeError("decoder")


def test_an_unused_place_is_empty(storage: Storage) -> None:
    assert storage.list() == []
    assert storage.leftovers() == []
    assert not storage.exists("store.json")


def test_what_was_written_is_read_back(storage: Storage) -> None:
    storage.write("store.json", b"{}")
    storage.write("train/a.tfrecord", b"0123456789")
    storage.write("train/empty", b"")

    assert storage.list() == ["store.json", "train/a.tfrecord", "train/empty"]
    assert storage.list("train/a") == ["train/a.tfrecord"]
    assert storage.list("dev/") == []
    assert storage.read("train/a.tfrecord") == b"0123456789"
    assert storage.read("train/empty") == b""
    assert storage.size("train/a.tfrecord") == 10
    assert storage.exists("train/a.tfrecord")
    assert not storage.exists("train")


def test_many_files_are_read_in_order_and_a_missing_one_is_told(storage: Storage) -> None:
    names = [f"index/{number}.parquet" for number in range(40)]
    for name in names:
        storage.write(name, name.encode())
    wanted = [*names, *reversed(names)]
    assert list(storage.read_each(wanted)) == [name.encode() for name in wanted]
    assert list(storage.read_each([])) == []
    storage.delete(names[20])
    read = storage.read_each(names)
    assert [next(read) for _ in range(20)] == [name.encode() for name in names[:20]]
    with pytest.raises(StoreError, match=names[20]):
        next(read)


def test_a_range_is_exact_or_an_error(storage: Storage) -> None:
    storage.write("a", b"0123456789")
    assert storage.read_range("a", 3, 4) == b"3456"
    assert storage.read_range("a", 10, 0) == b""
    for offset, length in [(8, 3), (10, 1), (99, 1)]:
        with pytest.raises(StoreError, match="it was cut"):
            storage.read_range("a", offset, length)


def test_a_buffer_is_filled_from_an_offset(storage: Storage) -> None:
    storage.write("a", b"0123456789")
    buffer = bytearray(b"......")
    storage.read_into("a", 3, memoryview(buffer)[1:5])
    assert buffer == b".3456."
    storage.read_into("a", 10, memoryview(bytearray()))
    for name, offset in (("a", 7), ("a", 20), ("b", 0)):
        with pytest.raises(StoreError):
            storage.read_into(name, offset, memoryview(buffer))


def test_a_missing_file_is_an_error_that_names_it(storage: Storage) -> None:
    storage.write("present", b"")
    for read in (storage.read, storage.size, lambda name: storage.read_range(name, 0, 1)):
        with pytest.raises(StoreError, match=r"train/gone.*there is no such"):
            read("train/gone")
    storage.delete("train/gone")


def test_a_deleted_file_is_gone_also_for_a_reader_that_had_it_open(storage: Storage) -> None:
    storage.write("a", b"old")
    assert storage.read_range("a", 0, 3) == b"old"
    storage.write("a", b"new")
    assert storage.read_range("a", 0, 3) == b"new"
    storage.delete("a")
    assert storage.list() == []
    with pytest.raises(StoreError, match="there is no such"):
        storage.read_range("a", 0, 3)


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "", "a/./b"])
def test_no_name_leads_out_of_the_root(storage: Storage, name: str) -> None:
    with pytest.raises(ValueError, match="not a name relative"):
        storage.write(name, b"")


def test_a_large_file_appears_only_when_its_writer_ends_well(storage: Storage) -> None:
    storage.write("a", b"old")
    with storage.create("a") as file:
        for start in range(0, len(SEVERAL_PARTS), 1_000_000):
            file.write(SEVERAL_PARTS[start : start + 1_000_000])
        assert storage.read("a") == b"old"
        assert storage.list() == ["a"]
    assert storage.read("a") == SEVERAL_PARTS
    assert storage.leftovers() == []


def test_a_failed_writer_leaves_the_old_file_and_nothing_else(storage: Storage) -> None:
    storage.write("a", b"old")
    for size in (10, len(SEVERAL_PARTS)):
        with pytest.raises(RuntimeError, match="decoder"):
            write_and_fail(storage, size)
    assert storage.read("a") == b"old"
    assert storage.list() == ["a"]
    assert storage.leftovers() == []


def test_what_a_killed_writer_left_is_hidden_and_swept(storage: Storage) -> None:
    storage.write("store.json", b"{}")
    process = subprocess.run([sys.executable, "-c", KILLED_WRITER, storage.url], check=False)
    assert process.returncode == -signal.SIGKILL

    assert storage.list() == ["store.json"]
    left = storage.leftovers()
    if not storage.url.startswith("gs://"):  # Google's server shows no unfinished upload, and drops it itself
        assert len(left) == 1
        assert "a.tfrecord" in left[0]
    assert storage.remove_leftovers() == left
    assert storage.leftovers() == []
    assert storage.list() == ["store.json"]


def test_a_second_writer_is_told_who_the_first_is(storage: Storage) -> None:
    with holder(storage) as first:
        with pytest.raises(StoreError, match=f"process {first.pid} on .* is writing to this store"), storage.lock():
            pytest.fail("two writers")
        first.communicate("", timeout=20)
        assert first.returncode == 0
    with storage.lock(), pytest.raises(StoreError, match="is writing to this store"), storage.lock():
        pytest.fail("two writers")
    with storage.lock():
        pass


def test_readers_share_a_store_and_exclude_writers(local: LocalStorage) -> None:
    local.root.mkdir()
    with (
        local.reading(),
        local.reading(),
        pytest.raises(StoreError, match=r"process \d+ on .* is reading this store; wait"),
        local.lock(),
    ):
        pytest.fail("a writer beside readers")
    with local.lock(), pytest.raises(StoreError, match="is writing to this store"), local.reading():
        pytest.fail("a reader beside a writer")
    with local.lock():
        pass
    assert [path.name for path in local.root.parent.iterdir()] == ["store"], "no lock file is left"


def test_the_lock_of_a_killed_reader_does_not_block(local: LocalStorage) -> None:
    local.root.mkdir()
    reader = subprocess.Popen(
        [sys.executable, "-c", HOLDER.replace(".lock()", ".reading()"), local.url, "60", "15"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match=f"process {reader.pid} on .* is reading"), local.lock():
        pytest.fail("a writer beside a reader")
    reader.kill()
    reader.communicate()
    with local.lock():
        pass


def test_a_reader_needs_no_folder_that_it_may_write_to(tmp_path: Path) -> None:
    with LocalStorage(str(tmp_path / "missing" / "store")).reading():
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_process_does_not_block(storage: Storage) -> None:
    with holder(storage) as first:
        first.kill()
        first.wait()
        with storage.lock():
            pass


def test_the_lock_is_no_part_of_the_store(storage: Storage) -> None:
    storage.write("a", b"")
    with storage.lock():
        assert storage.list() == ["a"]
        assert storage.leftovers() == []


def test_the_lock_is_free_after_an_error(storage: Storage) -> None:
    with pytest.raises(RuntimeError, match="worker"), storage.lock():
        raise RuntimeError("worker")
    with storage.lock():
        pass


def test_a_pickled_copy_reaches_the_same_files(storage: Storage) -> None:
    storage.write("a", b"abc")
    storage.read_range("a", 0, 1)
    copy = pickle.loads(pickle.dumps(storage))
    assert copy.read("a") == b"abc"


def test_a_local_store_loads_no_s3_client(tmp_path: Path) -> None:
    script = (
        "import sys; from pipeline.storage import open_storage; open_storage(sys.argv[1]).list(); print(*sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {"pipeline.storage.objects", "boto3", "botocore", "google.cloud.storage"}.isdisjoint(loaded)


def test_unknown_addresses_are_refused() -> None:
    with pytest.raises(StoreError, match="no storage for ftp://"):
        open_storage("ftp://bucket/store")
    for url in ("s3://bucket", "gs://bucket"):
        with pytest.raises(StoreError, match=f"a bucket and a prefix in it, as in {url[:2]}://bucket/features"):
            open_storage(url)


class TestLocal:
    @pytest.mark.parametrize("link", [os.link, os.symlink])
    def test_a_file_linked_to_a_cache_is_replaced_not_written_through(
        self, local: LocalStorage, tmp_path: Path, link: Callable[[Path, Path], None]
    ) -> None:
        cached = tmp_path / "cache" / "0f343b"
        cached.parent.mkdir()
        cached.write_bytes(b"cached")
        local.root.mkdir()
        link(cached, local.path("a"))

        local.write("a", b"new")

        assert cached.read_bytes() == b"cached"
        assert local.read("a") == b"new"
        assert not local.path("a").is_symlink()

    def test_an_untouched_file_keeps_inode_and_time(self, local: LocalStorage) -> None:
        local.write("a", b"abc")
        before = local.path("a").stat()
        local.write("b", b"abc")
        local.read_range("a", 0, 3)
        after = local.path("a").stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_new_files_have_the_usual_permissions(self, local: LocalStorage, tmp_path: Path) -> None:
        local.write("a", b"")
        (tmp_path / "plain").write_bytes(b"")
        assert local.path("a").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_a_disk_that_takes_no_more_is_a_clear_error_and_nothing_is_left(self, local: LocalStorage) -> None:
        local.write("kept", b"abc")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, hard))
        try:
            with pytest.raises(StoreError, match=r"cannot write .*store/a: .*too large"):
                local.write("a", bytes(10 << 20))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert local.list() == ["kept"]
        assert local.leftovers() == []

    @pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="no folder that nobody may write to")
    def test_a_read_only_folder_is_a_clear_error(self) -> None:
        with pytest.raises(StoreError, match=r"cannot write /sys/kernel/store/a: .*(permission denied|read-only)"):
            open_storage("/sys/kernel/store").write("a", b"")

    def test_a_root_that_is_a_file_is_a_clear_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StoreError, match="not a folder"):
            open_storage(tmp_path / "file" / "store").write("a", b"")

    def test_two_ways_to_one_folder_share_a_lock(self, local: LocalStorage, tmp_path: Path) -> None:
        local.root.mkdir()
        (tmp_path / "alias").symlink_to(local.root)
        with local.lock(), pytest.raises(StoreError, match="is writing"), open_storage(tmp_path / "alias").lock():
            pytest.fail("two writers")

    def test_the_lock_leaves_nothing_beside_the_folder(self, local: LocalStorage, tmp_path: Path) -> None:
        with local.lock():
            assert [path.name for path in tmp_path.iterdir()] == [".store.lock"]
        assert list(tmp_path.iterdir()) == []

    def test_many_files_are_read_by_many_threads_with_few_of_them_open(self, local: LocalStorage) -> None:
        names = [f"train/{number}" for number in range(400)]
        for name in names:
            local.path(name).parent.mkdir(parents=True, exist_ok=True)
            local.path(name).write_bytes(name.encode())
        before = len(os.listdir("/proc/self/fd"))

        def read(seed: int) -> bool:
            draws = random.Random(seed).choices(names, k=2_000)
            return all(local.read_range(name, 6, len(name) - 6) == name[6:].encode() for name in draws)

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(read, range(4)))
        assert len(os.listdir("/proc/self/fd")) - before < 200

    @given(data=st.binary(max_size=300), offset=st.integers(0, 310), length=st.integers(0, 310))
    def test_a_range_is_the_slice_wherever_the_file_has_it(
        self, tmp_path_factory: pytest.TempPathFactory, data: bytes, offset: int, length: int
    ) -> None:
        local = open_storage(tmp_path_factory.getbasetemp() / "ranges")
        local.write("a", data)
        if length == 0 or offset + length <= len(data):
            assert local.read_range("a", offset, length) == data[offset : offset + length]
        else:
            with pytest.raises(StoreError, match="it was cut"):
                local.read_range("a", offset, length)


class TestBuckets:
    def test_stores_whose_names_begin_alike_do_not_mix(self, object_url: str) -> None:
        first, second = open_storage(object_url), open_storage(object_url + "-2")
        first.write("a", b"")
        second.write("b", b"")
        assert (first.list(), second.list()) == (["a"], ["b"])

    @pytest.mark.parametrize("beat_s", [0.3, 60])
    def test_a_silent_holder_loses_the_lock_and_learns_it(
        self, beat_s: float, object_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pipeline.storage.lease.LEASE_SECONDS", 3.0)
        storage = open_storage(object_url)
        with holder(storage, lease_s=3, beat_s=beat_s) as first:
            first.send_signal(signal.SIGSTOP)
            for _ in range(40):
                with contextlib.suppress(StoreError), storage.lock():
                    first.send_signal(signal.SIGCONT)
                    _, messages = first.communicate("", timeout=20)
                    with pytest.raises(StoreError, match="is writing"), storage.lock():
                        pytest.fail("the loser removed the lock of the one who took it over")
                    break
                time.sleep(0.25)
            else:
                pytest.fail("the lock was never taken over")
        assert "another run took the lock over" in messages

    def test_a_holder_that_lives_keeps_the_lock_longer_than_a_lease(
        self, object_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pipeline.storage.lease.LEASE_SECONDS", 5.0)
        storage = open_storage(object_url)
        with holder(storage, lease_s=5, beat_s=0.5) as first:
            for _ in range(28):
                time.sleep(0.25)
                with pytest.raises(StoreError, match="is writing"), storage.lock():
                    pytest.fail("two writers")
            first.communicate("", timeout=20)
            assert first.returncode == 0

    def test_a_missing_bucket_is_a_clear_error(self, object_url: str) -> None:
        storage = open_storage(f"{object_url[:2]}://no-such-bucket/store")
        for action in (storage.list, lambda: storage.write("a", b""), lambda: storage.lock().__enter__()):
            with pytest.raises(StoreError, match="there is no such bucket"):
                action()

    def test_a_file_of_whole_parts_is_whole(self, object_url: str) -> None:
        storage = open_storage(object_url)
        for n_parts in (1, 2):
            content = SEVERAL_PARTS[: n_parts * PART_BYTES]
            storage.write("a", content)
            assert storage.read("a") == content

    def test_folders_and_files_of_a_bucket_are_told_apart(self, object_url: str) -> None:
        bucket = object_url.rpartition("/")[0]
        for name in ("a/x.flac", "a/b/y.flac", "c.txt", "a-b/z.flac"):
            open_storage(object_url).write(name, name.encode())
        storage = open_storage(bucket, whole_bucket=True)
        assert storage.children("store") == (["a", "a-b"], ["c.txt"])
        assert storage.children("store/a") == (["b"], ["x.flac"])
        assert storage.children("store/none") == ([], [])
        assert (storage.has_folder("store/a"), storage.has_folder("store/c.txt")) == (True, False)
        assert storage.has_folder()

    def test_a_file_that_is_too_large_is_refused_with_its_size(self, object_url: str) -> None:
        storage = open_storage(object_url)
        storage.write("a", bytes(1000))
        assert len(storage.read("a", 1000)) == 1000
        with pytest.raises(LargeFileError, match="has 1,000 bytes, at most 999 are read"):
            storage.read("a", 999)


class TestS3:
    def test_objects_are_the_bytes_on_the_servers_disk(self, s3_url: str, s3_server: S3Server) -> None:
        storage = open_storage(s3_url)
        storage.write("store.json", b"{}")
        with storage.create("train/a") as file:
            file.write(SEVERAL_PARTS)
        folder = s3_server.root_on_disk / s3_url.removeprefix(f"s3://{s3_server.bucket}/")
        assert (folder / "store.json").read_bytes() == b"{}"
        assert (folder / "train" / "a").read_bytes() == SEVERAL_PARTS

    def test_a_server_without_conditional_put_gets_a_lock_of_this_machine_and_says_so(
        self, s3_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def ignore_condition(params: dict[str, Any], **_: object) -> None:
            params["headers"].pop("If-None-Match", None)

        def ignoring_server() -> S3Storage:
            storage = S3Storage(s3_url)
            storage.client.meta.events.register("before-call.s3.PutObject", ignore_condition)
            return storage

        storage = ignoring_server()
        with caplog.at_level(logging.WARNING), storage.lock():
            assert "only runs on this machine" in caplog.text
            with pytest.raises(StoreError, match="is writing"), ignoring_server().lock():
                pytest.fail("two writers")
        with storage.lock():
            pass

    def test_wrong_credentials_are_a_clear_error(self, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")
        with pytest.raises(StoreError, match="secret key is wrong; check AWS_ACCESS_KEY_ID"):
            open_storage(s3_url).list()
        with pytest.raises(StoreError, match="access denied; check AWS_ACCESS_KEY_ID"):
            open_storage(s3_url).exists("a")

    def test_missing_credentials_are_a_clear_error(self, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, os.devnull)
        with pytest.raises(StoreError, match="there are no credentials"):
            open_storage(s3_url).list()

    def test_an_unreachable_server_is_a_clear_error(self, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(StoreError, match=r"no answer from http://127.0.0.1:9; check AWS_ENDPOINT_URL"):
            open_storage(s3_url).read("a")

    def test_endpoint_and_region_travel_with_a_copy_but_secrets_do_not(
        self, s3_url: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        storage = open_storage(s3_url)
        storage.write("a", b"abc")
        pickled = pickle.dumps(storage)
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        assert pickle.loads(pickled).read("a") == b"abc"
        assert s3_server.secret_key.encode() not in pickled


class TestGcs:
    def test_a_missing_client_is_told_with_the_cure(self, tmp_path: Path) -> None:
        script = (
            "import sys; sys.modules['google.cloud.storage'] = None; from pipeline.storage import open_storage; "
            "open_storage('gs://bucket/store').list()"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert "StoreError: gs://bucket/store: Google Cloud Storage needs its client" in done.stderr
        assert "pip install 'bonafide[gs]'" in done.stderr

    def test_missing_credentials_are_a_clear_error(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pytest.importorskip("google.cloud.storage")
        monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
        with pytest.raises(StoreError, match=r"there are no credentials .*gcloud auth application-default login"):
            open_storage("gs://bucket/store").list()

    def test_an_unreachable_server_is_a_clear_error(self, gs_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pipeline.storage.gcs_client.RETRY_SECONDS", 0.5)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
        for action in (lambda s: s.read("a"), lambda s: s.list(), lambda s: s.write("a", b""), lambda s: s.size("a")):
            with pytest.raises(StoreError, match=r"no answer from http://127.0.0.1:9 .*check the network"):
                action(open_storage(gs_url))

    def test_the_server_travels_with_a_copy(self, gs_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        storage = open_storage(gs_url)
        storage.write("a", b"abc")
        pickled = pickle.dumps(storage)
        monkeypatch.delenv("STORAGE_EMULATOR_HOST")
        assert pickle.loads(pickled).read("a") == b"abc"
