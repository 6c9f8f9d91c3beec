"""A run that takes the shards of another store: those that are the same are linked, the others written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.job.run import FeaturesResult, run_features
from pipeline.storage.locks import file_lock
from pipeline.store.verify import verify
from tests.pipeline.job.test_run import IN_THIS_PROCESS, SHARDS, Corpus, job_params, parsed
from tests.support.synthetic_store import files_of

ALL = 3 * SHARDS


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("shared"))


def run(corpus: Corpus, output: Path, shared: Path, root: Path | None = None, **changes: object) -> FeaturesResult:
    params = parsed(corpus.root, **changes)
    return run_features(corpus.manifest, root or corpus.root, str(output), params, IN_THIS_PROCESS, shared=str(shared))


def test_a_store_of_the_same_parameters_is_linked_without_reading_audio(corpus: Corpus, tmp_path: Path) -> None:
    before = files_of(corpus.store)

    result = run(corpus, tmp_path / "member", corpus.store, tmp_path / "no such folder")

    assert (result.kept, result.redone) == (ALL, 0)
    assert files_of(tmp_path / "member") == files_of(corpus.store) == before
    assert verify(tmp_path / "member", corpus.manifest) == []
    records = "train/train-00000-of-00004.tfrecord"
    assert (tmp_path / "member" / records).samefile(corpus.store / records)


def test_a_linked_store_that_changes_leaves_the_other_alone(corpus: Corpus, tmp_path: Path) -> None:
    before = files_of(corpus.store)
    run(corpus, tmp_path / "member", corpus.store)

    result = run(corpus, tmp_path / "member", corpus.store, features__n_mels=32)

    assert result.redone == ALL
    assert files_of(corpus.store) == before
    assert verify(tmp_path / "member", corpus.manifest) == []
    back = run(corpus, tmp_path / "member", corpus.store)
    assert (back.kept, files_of(tmp_path / "member")) == (ALL, before)


def test_a_part_of_a_store_is_taken(corpus: Corpus, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run(corpus, other, corpus.store)
    (other / "index" / "dev-00001-of-00004.parquet").unlink()
    (other / "store.json").unlink()

    result = run(corpus, tmp_path / "member", other)

    assert (result.kept, result.redone) == (ALL - 1, 1)
    assert files_of(tmp_path / "member") == files_of(corpus.store)


@pytest.mark.parametrize("kind", ["missing", "foreign", "itself", "busy"])
def test_a_store_that_cannot_be_shared_is_no_obstacle(corpus: Corpus, tmp_path: Path, kind: str) -> None:
    member, other = tmp_path / "member", tmp_path / "other"
    if kind == "foreign":
        other.mkdir()
        (other / "notes.txt").write_text("mine")
    if kind == "busy":
        run(corpus, other, corpus.store)
        with file_lock(tmp_path / ".other.lock", str(other)):
            result = run(corpus, member, other)
    else:
        result = run(corpus, member, member if kind == "itself" else other)

    assert result.redone == ALL
    assert files_of(member) == files_of(corpus.store)


def test_files_are_copied_where_they_cannot_be_linked(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    result = run(corpus, tmp_path / "member", corpus.store)

    assert result.redone == 0
    assert files_of(tmp_path / "member") == files_of(corpus.store)


def test_the_command_links_the_store_of_a_member_that_differs_by_its_seed_alone(
    corpus: Corpus, tmp_path: Path, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    content = job_params(corpus.root) | {
        "members": {"seed_2": {"train": {"seed": 2}}, "mel": {"features": {"n_mels": 32}}}
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    found = {}
    for member in ("seed_2", "mel"):
        code, text = run_bonafide(
            *("features", "--params", tmp_path / "params.yaml", "--member", member, "--shared", corpus.store),
            *(
                "--manifest",
                corpus.manifest_file,
                "--output",
                tmp_path / member,
                "--dry-run" if member == "mel" else "--workers=1",
            ),
        )
        assert code == 0, text
        found[member] = " ".join(text.split())

    assert f"{ALL} shards kept, 0 to do" in found["seed_2"]
    assert f"0 shards kept, {ALL} to do" in found["mel"]
    assert f"would be linked from {corpus.store} are counted as to do" in found["mel"]
    assert files_of(tmp_path / "seed_2") == files_of(corpus.store)


def test_the_store_of_a_member_has_a_place_of_its_own_where_none_is_named(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    content = job_params(corpus.root) | {"members": {"seed_2": {"train": {"seed": 2}}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)
    member = ("features", "--manifest", corpus.manifest_file, "--member", "seed_2")

    code, text = run_bonafide(*member, "--shared", "data/features")
    assert code == 2
    assert "data/features: no such folder" in " ".join(text.split())
    code, text = run_bonafide(*member, "--shared", corpus.store, "--workers=1")
    assert code == 0, text
    assert files_of(tmp_path / "data/members/seed_2/features") == files_of(corpus.store)
    assert not (tmp_path / "data/features").exists()
