"""A corpus in an object store goes from its protocols to the report page, with no audio on this machine."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.buckets import upload
from tests.support.front_ends import SHORT_WINDOW
from tests.support.parameters import project_parameters
from tests.support.synthetic_corpus import write_corpus
from tests.support.synthetic_store import files_of

Run = Callable[..., tuple[int, str]]
COMMANDS = ("manifest", "features", "validate", "train", "evaluate", "report")
WITHOUT_AUDIO = {"validate": "reports/data", "train": "data/model", "train's curves": "reports/train"}


def project_files(
    folder: Path, root: str, run_bonafide: Run, monkeypatch: pytest.MonkeyPatch, made: Path | None = None
) -> dict[str, bytes]:
    """What the commands make of a corpus, in a working folder of their own, by name.

    What commands without audio made in the folder `made` is taken over, to save time.
    """
    content: dict[str, Any] = project_parameters()
    content["data"]["root"] = root
    content["features"] = SHORT_WINDOW.model_dump()
    content["augment"]["copies"] = content["augment"]["copy_synthesis"]["copies"] = 1
    content["store"]["shards"] = 1
    content["train"] |= {"steps": 4, "steps_per_epoch": 4, "channels": [4, 4], "batch_size": 4, "crop_s": 0.25}
    content["evaluate"] |= {"intervals": 20, "robustness_clips": 10}
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(folder)
    if made is not None:
        for name in WITHOUT_AUDIO.values():
            shutil.copytree(made / name, folder / name)
    for command in COMMANDS:
        if made is not None and command in WITHOUT_AUDIO:
            continue
        runner = ("--", "--direct_running_mode=in_memory") if command == "features" else ()
        code, printed = run_bonafide(command, *runner)
        assert code == 0, printed
        assert "no audio" not in printed
    clips = ("ASVspoof2019_LA_eval", "ASVspoof2019_LA_dev/flac/LA_D_000000[0-2].flac", "gone.flac")
    code, printed = run_bonafide("score", *(f"{root}/{clip}" for clip in clips), "--jsonl", folder / "scores.jsonl")
    assert code == 1, printed
    assert "gone.flac: no such file" in printed
    return files_of(folder)


@pytest.mark.slow
def test_every_file_from_manifest_to_page_is_that_of_the_local_corpus(
    tmp_path: Path, s3_url: str, gs_url: str, run_bonafide: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_corpus(tmp_path / "LA")
    local = project_files(tmp_path / "local", str(corpus), run_bonafide, monkeypatch)
    details = json.loads(local["reports/evaluation/details.json"])
    assert "trimmed" in details["eval"]
    assert b"data:audio/flac" in local["reports/index.html"]
    for url in (s3_url, gs_url):
        upload(corpus, url)
    shutil.rmtree(corpus)
    for url in (s3_url, gs_url):
        made = None if url == s3_url else tmp_path / "local"
        remote = project_files(tmp_path / url[:2], url, run_bonafide, monkeypatch, made)
        # What names the root: the parameters, also where the page shows them, and what is scored by its address.
        for name, count in (("params.yaml", 1), ("reports/index.html", 1), ("scores.jsonl", 13)):
            content = remote[name].decode()
            assert content.count(url) == count, name
            remote[name] = content.replace(url, str(corpus)).encode()
        assert [name for name in local if remote.get(name) != local[name]] == []
        assert remote.keys() == local.keys()
