"""Training and evaluation with a store in a bucket: the files are those of the local store, copied or streamed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.buckets import upload
from tests.support.parameters import ProjectParams
from tests.support.synthetic_store import files_of
from tests.support.trained_model import Trained

Run = Callable[..., tuple[int, str]]


@pytest.mark.slow
def test_a_store_in_a_bucket_trains_and_evaluates_as_a_local_one(
    tmp_path: Path,
    s3_url: str,
    trained: Trained,
    tone_params: ProjectParams,
    run_bonafide: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload(Path(trained.store.storage.url), s3_url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tone_params.model_dump(mode="json")))
    stores = {
        "local": (trained.store.storage.url,),
        "copied": (s3_url, "--cache", tmp_path / "cache"),
        "streamed": (s3_url, "--stream"),
    }
    for name, store in stores.items():
        folders = {"model": tmp_path / name / "model", "report": tmp_path / name / "report"}
        code, printed = run_bonafide(
            "train", "--store", *store, "--output", folders["model"], "--report", folders["report"]
        )
        assert code == 0, printed
        assert ("copying 6 files of records" in printed) == (name == "copied")
        code, printed = run_bonafide(
            *("evaluate", "--store", *store, "--model", folders["model"], "--no-audit"),
            *("--output", tmp_path / name / "evaluation"),
        )
        assert code == 0, printed
        assert ("copying 3 files of records" in printed) == (name == "copied")  # dev is there
    local = files_of(tmp_path / "local")
    for name in stores:
        assert files_of(tmp_path / name) == local, name
