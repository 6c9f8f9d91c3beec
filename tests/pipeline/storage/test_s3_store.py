"""The features job and the reader on a real S3-compatible server: the same bytes and promises as in a local folder."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.errors import StoreError
from pipeline.job.worklist import work_folder
from pipeline.storage import open_storage
from pipeline.store import FeatureStore
from pipeline.store.verify import verify
from tests.support.s3_server import S3Server
from tests.support.synthetic_corpus import write_corpus
from tests.support.synthetic_store import files_of

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def work(tmp_path: Path, repository: Path) -> Path:
    """A folder with parameters and a manifest of a small corpus."""
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["data"]["root"] = str(write_corpus(tmp_path / "LA"))
    params["store"]["shards"] = 2
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


def features(run: Run, work: Path, output: str) -> str:
    """Runs manifest and features in this process; gives what they printed."""
    options = ("--params", work / "params.yaml", "--manifest", work / "manifest.parquet")
    if not (work / "manifest.parquet").exists():
        code, printed = run("manifest", *options[:2], "--output", options[3])
        assert code == 0, printed
    code, printed = run("features", *options, "--output", output, "--", "--direct_running_mode=in_memory")
    assert code == 0, printed
    return printed


def on_disk(server: S3Server, url: str) -> Path:
    """Where the server keeps the objects below an address."""
    return server.root_on_disk / url.removeprefix(f"s3://{server.bucket}/")


def test_store_on_s3_holds_the_bytes_of_the_local_one_and_reads_the_same(
    work: Path, s3_server: S3Server, s3_url: str, run_bonafide: Run
) -> None:
    features(run_bonafide, work, str(work / "store"))
    features(run_bonafide, work, s3_url)
    local_files = files_of(work / "store")
    assert len(local_files) == 3 * 3 * 2 + 1
    assert files_of(on_disk(s3_server, s3_url)) == local_files
    assert verify(s3_url) == []
    remote, local = FeatureStore.open(s3_url), FeatureStore.open(work / "store")
    assert remote.index.equals(local.index)
    chosen = remote.select(split="eval", label=0)
    assert len(chosen) == 6
    for example in chosen.iter():
        np.testing.assert_array_equal(example.features, local.get(example.utterance_id).features)


def test_second_run_on_s3_writes_no_object(work: Path, s3_server: S3Server, s3_url: str, run_bonafide: Run) -> None:
    features(run_bonafide, work, s3_url)
    folder = on_disk(s3_server, s3_url)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert "6 shards kept, 0 redone" in features(run_bonafide, work, s3_url)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_unfinished_store_on_s3_is_finished_without_redoing_the_rest(
    work: Path, s3_server: S3Server, s3_url: str, run_bonafide: Run
) -> None:
    features(run_bonafide, work, s3_url)
    folder = on_disk(s3_server, s3_url)
    whole = files_of(folder)
    storage = open_storage(s3_url)
    storage.delete("store.json")
    storage.delete("index/train-00001-of-00002.parquet")
    with pytest.raises(StoreError, match="no complete feature store"):
        FeatureStore.open(s3_url)
    assert "5 shards kept, 1 redone" in features(run_bonafide, work, s3_url)
    assert files_of(folder) == whole


def test_slash_at_the_end_of_the_address_changes_nothing(
    work: Path, s3_server: S3Server, s3_url: str, run_bonafide: Run
) -> None:
    features(run_bonafide, work, f"{s3_url}/")
    folder = on_disk(s3_server, s3_url)
    whole = files_of(folder)
    # What a killed run leaves beside the store is no part of it.
    open_storage(s3_url).delete("store.json")
    open_storage(s3_url).delete("index/train-00001-of-00002.parquet")
    work_folder(f"{s3_url}/").write("job", b"bonafide-features-0")
    assert "5 shards kept, 1 redone" in features(run_bonafide, work, f"{s3_url}/")
    assert files_of(folder) == whole
    assert work_folder(s3_url).list() == []


def test_second_writer_on_s3_is_refused(work: Path, s3_url: str, run_bonafide: Run) -> None:
    features(run_bonafide, work, str(work / "store"))
    with open_storage(s3_url).lock():
        code, printed = run_bonafide(
            "features", "--params", work / "params.yaml", "--manifest", work / "manifest.parquet", "--output", s3_url
        )
    assert code == 1
    assert "is writing to this store" in printed


def test_damaged_object_is_found(work: Path, s3_server: S3Server, s3_url: str, run_bonafide: Run) -> None:
    features(run_bonafide, work, s3_url)
    storage = open_storage(s3_url)
    name = next(name for name in storage.list("eval/") if storage.size(name))
    data = bytearray(storage.read(name))
    data[len(data) // 2] ^= 1
    storage.write(name, bytes(data))
    assert {finding.file for finding in verify(s3_url)} == {name}


READ_WITH_TF_DATA = """
import sys
import numpy as np
from model.dataset import scoring_batches, to_dataset
from pipeline.store import FeatureStore

store = FeatureStore.open(sys.argv[1]).select(split="dev", label=1)
found = {example["utterance_id"].numpy().decode(): example["features"].numpy() for example in to_dataset(store)}
np.savez(sys.argv[2], **found)
batches = list(scoring_batches(store, "dev", 20, 4))
print("read", len(found), len(batches))
"""


def test_tf_data_reads_a_selection_from_s3_and_the_process_ends_well(
    work: Path, s3_url: str, run_bonafide: Run
) -> None:
    features(run_bonafide, work, s3_url)
    done = subprocess.run(
        [sys.executable, "-c", READ_WITH_TF_DATA, s3_url, work / "read.npz"],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("read 3 ")
    store = FeatureStore.open(s3_url)
    with np.load(io.BytesIO((work / "read.npz").read_bytes())) as read:
        assert sorted(read) == sorted(store.select(split="dev", label=1).index["utterance_id"].to_pylist())
        for name in read:
            np.testing.assert_array_equal(read[name], store.get(name).features.astype(np.float32))
