"""S3-compatible servers that refuse what Amazon's takes: a store is written, or the message names what was refused."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.errors import StoreError
from pipeline.storage import open_storage
from tests.support.strict_s3_server import CHECKSUM_HEADERS, strict_s3_server
from tests.support.synthetic_corpus import write_corpus

pytest.importorskip("boto3", reason="S3 needs boto3, of the extra s3")

URL = "s3://bucket/folder/store"
VARIABLE = "AWS_REQUEST_CHECKSUM_CALCULATION"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", VARIABLE, "AWS_RESPONSE_CHECKSUM_VALIDATION"):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument")])
@pytest.mark.parametrize("named_by", ["variable", "profile"])
def test_a_server_that_refuses_checksum_headers_is_written_to_and_locked(
    status: int,
    code: str,
    named_by: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with strict_s3_server(status=status, code=code) as (address, objects):
        if named_by == "variable":
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        else:
            (tmp_path / "config").write_text(f"[default]\nendpoint_url = {address}\n")
        storage = open_storage(URL)
        with caplog.at_level(logging.WARNING), storage.lock():
            storage.write("train/a", b"abc")
            with pytest.raises(StoreError, match="is writing"), open_storage(URL).lock():
                pytest.fail("two writers")
        assert storage.read_range("train/a", 1, 2) == b"bc"
        assert storage.list() == ["train/a"]
        assert list(objects) == ["/bucket/folder/store/train/a"]
    assert caplog.text == ""


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument")])
def test_refused_checksums_are_told_by_the_variable_and_are_no_missing_condition(
    status: int, code: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, "when_supported")
    with strict_s3_server(status=status, code=code) as (address, _), caplog.at_level(logging.WARNING):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        storage = open_storage(URL)
        for action in (lambda: storage.lock().__enter__(), lambda: storage.write("a", b"")):
            with pytest.raises(StoreError, match=rf"{code}: .*set {VARIABLE}=when_required"):
                action()
    assert "conditional" not in caplog.text


def test_a_server_that_refuses_the_condition_alone_gets_a_lock_of_this_machine_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with strict_s3_server(("if-none-match", *CHECKSUM_HEADERS)) as (address, objects):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with caplog.at_level(logging.WARNING), open_storage(URL).lock():
            assert "this server has no conditional PUT" in caplog.text
            with pytest.raises(StoreError, match="is writing"), open_storage(URL).lock():
                pytest.fail("two writers")
        assert objects == {}


@pytest.mark.slow
def test_the_features_job_writes_to_a_server_that_refuses_checksum_headers(
    tmp_path: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_bonafide: Callable[..., tuple[int, str]],
) -> None:
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["data"]["root"] = str(write_corpus(tmp_path / "LA", 3))
    params["store"]["shards"] = 1
    params["augment"]["copies"] = params["augment"]["copy_synthesis"]["copies"] = 0
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with strict_s3_server() as (address, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert run_bonafide("manifest")[0] == 0
        code, printed = run_bonafide("features", "--output", URL, "--", "--direct_running_mode=in_memory")
        assert code == 0, printed
        assert "conditional" not in printed
        code, printed = run_bonafide("store", "verify", URL)
        assert (code, "intact" in printed) == (0, True), printed
