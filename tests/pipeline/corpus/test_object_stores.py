"""Corpora in an object store: what the manifest and the features stage make of them is what they make of local ones."""

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.corpus.audio_files import audio_root, open_audio_files
from pipeline.corpus.layouts import layout_of
from pipeline.corpus.manifest import build_manifest, read_manifest
from pipeline.corpus.places import corpus_path
from pipeline.errors import AudioError, CorpusError, StoreError
from pipeline.files import temporary_folder
from pipeline.storage import open_storage
from tests.support.bad_proxy import bad_proxy
from tests.support.buckets import upload
from tests.support.corpora import CORPORA, N_CLIPS
from tests.support.parameters import project_parameters
from tests.support.synthetic_corpus import write_corpus
from tests.support.synthetic_store import files_of

Run = Callable[..., tuple[int, str]]
LARGEST = 10_000_000


@pytest.mark.parametrize("name", ["asvspoof2019_la", *CORPORA])
def test_every_layout_has_the_manifest_of_the_local_corpus(tmp_path: Path, object_url: str, name: str) -> None:
    root = CORPORA[name](tmp_path / "corpus") if name in CORPORA else write_corpus(tmp_path / "corpus", N_CLIPS)
    folder = root.parent if root.is_file() else root
    upload(folder, object_url)
    place = corpus_path(f"{object_url}/{root.name}" if root.is_file() else object_url)
    assert layout_of(place).name == layout_of(root).name == name
    assert build_manifest(place).equals(build_manifest(root))


def test_a_corpus_can_be_a_bucket_or_a_table_in_it(tmp_path: Path, s3_url: str) -> None:
    import boto3

    bucket = f"corpus-{uuid.uuid4().hex[:8]}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    root = write_corpus(tmp_path / "corpus", 3)
    for path in root.rglob("*.*"):
        boto3.client("s3").upload_file(str(path), bucket, path.relative_to(root).as_posix())
    assert build_manifest(corpus_path(f"s3://{bucket}")).equals(build_manifest(root))
    table = CORPORA["table"](tmp_path / "table")
    for path in table.parent.rglob("*.*"):
        boto3.client("s3").upload_file(str(path), bucket, path.relative_to(table.parent).as_posix())
    place = corpus_path(f"s3://{bucket}/{table.name}")
    assert str(audio_root(place)) == f"s3://{bucket}"
    assert build_manifest(place).equals(build_manifest(table))


def test_the_store_of_a_corpus_in_an_object_store_is_that_of_the_local_one(
    tmp_path: Path, object_url: str, run_bonafide: Run
) -> None:
    root = write_corpus(tmp_path / "LA", 6)
    broken = root / "ASVspoof2019_LA_train" / "flac"
    (broken / "LA_T_0000001.flac").unlink()
    (broken / "LA_T_0000002.flac").write_bytes(b"")
    (broken / "LA_T_0000003.flac").write_bytes((broken / "LA_T_0000004.flac").read_bytes()[:2000])
    upload(root, object_url)
    content = project_parameters()
    content["store"]["shards"] = 2
    content["features"]["max_reject_fraction"] = 0.5
    for name, address in (("local", str(root)), ("remote", object_url)):
        (tmp_path / name).mkdir()
        content["data"]["root"] = address
        (tmp_path / name / "params.yaml").write_text(yaml.safe_dump(content))
        manifest = tmp_path / name / "manifest.parquet"
        options = ("--params", tmp_path / name / "params.yaml")
        code, printed = run_bonafide("manifest", *options, "--output", manifest)
        assert code == 0, printed
        if name == "remote":
            shutil.rmtree(root)
        output = ("--manifest", manifest, "--output", tmp_path / name / "store")
        code, printed = run_bonafide("features", *options, *output, "--", "--direct_running_mode=in_memory")
        assert code == 0, printed
    assert (tmp_path / "remote" / "manifest.parquet").read_bytes() == (
        tmp_path / "local" / "manifest.parquet"
    ).read_bytes()
    assert read_manifest(tmp_path / "remote" / "manifest.parquet")["problem"].null_count == 16
    assert files_of(tmp_path / "remote" / "store") == files_of(tmp_path / "local" / "store")


def test_audio_that_is_missing_or_too_large_is_told_as_of_a_folder(tmp_path: Path, object_url: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "clip.flac").write_bytes(bytes(1000))
    upload(tmp_path, object_url)
    for root in (tmp_path, object_url):
        files = open_audio_files(root)
        assert files.is_reachable()
        assert files.read("a/clip.flac", 1000) == files.read("a/./clip.flac", 1000) == bytes(1000)
        read = list(files.read_each(["a/clip.flac", "gone.flac", "../a", "a/clip.flac"] * 20, 1000))
        assert read[::4] == read[3::4] == [bytes(1000)] * 20
        assert {str(problem) for problem in read[1::4]} == {"missing: no such file"}
        assert {str(problem) for problem in read[2::4]} == {"unreadable: the path leaves the folder of the corpus"}
        with pytest.raises(AudioError, match="too_long: the file has 1,000 bytes, at most 999 are read"):
            files.read("a/clip.flac", 999)
    assert not open_audio_files(f"{object_url}/elsewhere").is_reachable()


def test_another_command_leaves_the_copies_of_protocols_alone(s3_url: str) -> None:
    open_storage(s3_url).write("protocol.txt", b"lines")
    place = corpus_path(s3_url) / "protocol.txt"
    for _ in range(2):
        with place.open() as file:
            assert file.read() == "lines"
        with temporary_folder():  # of another command, which first removes what killed ones left
            pass


def test_a_corpus_that_is_not_there_is_told_and_a_dead_server_rejects_no_clip(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CorpusError, match=f"{s3_url}: no such corpus"):
        layout_of(corpus_path(s3_url))
    with pytest.raises(StoreError, match="no storage for ftp://"):
        corpus_path("ftp://host/corpus")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StoreError, match="no answer from"):
        open_audio_files(s3_url).read("a.flac", LARGEST)


@pytest.mark.slow
def test_a_slow_server_that_fails_one_request_of_fifty_changes_no_byte_and_loses_nothing(
    tmp_path: Path, object_url: str, run_bonafide: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_corpus(tmp_path / "LA", 40, duration_s=0.2)
    upload(root, object_url)
    content = project_parameters()
    content["store"]["shards"] = 2
    content["augment"]["copies"] = content["augment"]["copy_synthesis"]["copies"] = 0
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    options = ("--params", tmp_path / "params.yaml", "--manifest", tmp_path / "manifest.parquet")
    in_process = ("--", "--direct_running_mode=in_memory")

    def run(address: str, output: str) -> None:
        made = ("manifest", *options[:2], "--root", address, "--output", options[3])
        for command in (made, ("features", *options, "--root", address, "--output", output, *in_process)):
            code, printed = run_bonafide(*command)
            assert code == 0, printed

    run(str(root), str(tmp_path / "store"))
    manifest = options[3].read_bytes()
    variable = "AWS_ENDPOINT_URL" if object_url.startswith("s3") else "STORAGE_EMULATOR_HOST"
    with bad_proxy(os.environ[variable], 0.03, fail_every=50) as (address, counts):
        monkeypatch.setenv(variable, address)
        run(object_url, f"{object_url}-features")
        store = open_storage(f"{object_url}-features")
        assert {name: store.read(name) for name in store.list()} == files_of(tmp_path / "store")
    assert options[3].read_bytes() == manifest
    n_requests, n_failed = counts
    assert n_failed == n_requests // 50 >= 4
