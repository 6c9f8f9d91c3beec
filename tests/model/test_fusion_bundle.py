"""The bundle of a fusion: what is in it, how it is written, and what is refused."""

import contextlib
import fcntl
import json
import math
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import model.fusion_file
import pipeline.files
from model.bundle import load_bundle
from model.detector import Detector
from model.detector_model import load_model
from model.errors import ModelError
from model.fusion_file import read_fusion, write_fusion
from model.metrics import Fusion
from tests.support.damages import changed_bytes, removed_file, reseal_bundle, reseal_description
from tests.support.fused_project import FusedProject
from tests.support.synthetic_store import files_of


@pytest.fixture
def copied(tmp_path: Path, fused: FusedProject) -> Path:
    return Path(shutil.copytree(fused.bundle, tmp_path / "fusion"))


def reseal_fusion(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the content of fusion.json and makes its checksum right again."""
    reseal_description(folder / "fusion.json", change)


def test_it_holds_the_bundles_of_all_networks_dev_scores_and_weights(fused: FusedProject) -> None:
    names = {"main", "members", "dev_scores.txt", "fusion.json"}
    assert {path.name for path in fused.bundle.iterdir()} == names
    assert files_of(fused.bundle / "main") == files_of(fused.main)
    assert files_of(fused.bundle / "members" / "linear") == files_of(fused.member)
    weights = json.loads((fused.report / "fusion.json").read_text())
    description = json.loads((fused.bundle / "fusion.json").read_text())
    assert description["members"] == ["linear"]
    by_place = {("linear" if "linear" in path else "main"): weight for path, weight in weights["weights"].items()}
    assert description["weights"]["networks"] == [by_place["main"], by_place["linear"]]
    assert description["weights"]["intercept"] == weights["intercept"]


def test_threshold_and_band_are_those_of_the_fused_dev_scores(fused: FusedProject) -> None:
    found, networks = load_model(fused.bundle), [load_bundle(folder) for folder in (fused.main, fused.member)]

    columns = np.stack([bundle.development.scores for bundle in networks], axis=1)
    assert found.development.scores == pytest.approx(found.fusion.apply(columns))
    assert (found.development.bonafide.min() >= found.threshold) or (found.threshold > found.development.spoof.min())
    assert found.calibrated_on == {
        "dev_bonafide": 8, "dev_spoof": 16, "folds": 0, "held_out_bonafide": 0, "held_out_spoof": 0
    }  # fmt: skip


@pytest.mark.parametrize(
    "place", ["main/model.keras", "members/linear/dev_scores.txt", "dev_scores.txt", "fusion.json"]
)
def test_damage_of_any_part_is_refused_with_its_folder(copied: Path, place: str) -> None:
    content = bytearray((copied / place).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / place).write_bytes(content)

    with pytest.raises(ModelError, match=re.escape(str(copied))):
        load_model(copied)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_to_the_files_the_fusion_is_the_same_or_refused(
    copied: Path, fused: FusedProject, seed: int
) -> None:
    damage = changed_bytes if seed % 4 else removed_file
    damage(copied, random.Random(seed))

    with contextlib.suppress(ModelError):
        found, intact = load_model(copied), load_model(fused.bundle)
        assert found.fusion.weights.tolist() == intact.fusion.weights.tolist()
        assert found.threshold == intact.threshold


def test_a_network_that_is_gone_is_refused_by_name(copied: Path) -> None:
    shutil.rmtree(copied / "members" / "linear")

    with pytest.raises(ModelError, match=r"members/linear/bundle.json cannot be read.*bonafide fuse --fusion"):
        load_model(copied)


def test_a_network_that_was_trained_anew_is_refused(copied: Path) -> None:
    reseal_bundle(copied / "members" / "linear", lambda info: info["training"].update(epoch=2))

    with pytest.raises(ModelError, match=r"members/linear/bundle.json is not the file that fusion.json describes"):
        load_model(copied)


def test_a_network_that_another_version_made_is_refused_by_name(copied: Path) -> None:
    reseal_bundle(copied / "members" / "linear", lambda info: info.update(bundle_version=99))
    digest = pipeline.files.sha256_of(copied / "members" / "linear" / "bundle.json")
    reseal_fusion(copied, lambda info: info["sha256"]["networks"].__setitem__(1, digest))

    with pytest.raises(ModelError, match=r"the fusion's network linear is of no use.*bundle version 99"):
        load_model(copied)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weights": 1}', "\xff"])
def test_a_damaged_description_is_refused(copied: Path, content: str) -> None:
    (copied / "fusion.json").write_text(content, encoding="latin-1")

    with pytest.raises(ModelError, match=r"fusion.json cannot be read"):
        load_model(copied)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda info: info["weights"]["networks"].__setitem__(0, math.nan), "weights.networks.0"),
        (lambda info: info["weights"]["networks"].__setitem__(0, math.inf), "weights.networks.0"),
        (lambda info: info["weights"]["networks"].__setitem__(0, "1"), "weights.networks.0"),
        (lambda info: info["weights"]["networks"].append(0.5), "weights.networks"),
        (lambda info: info["weights"].update(intercept=math.nan), "weights.intercept"),
        (lambda info: info["weights"].update(prior=1.0), "weights.prior"),
        (lambda info: info.update(threshold=info["threshold"] + 1), "threshold"),
        (lambda info: info.update(members=["../../elsewhere"]), "members.0"),
        (lambda info: info.update(members=["linear", "linear"]), "members"),
        (lambda info: info.update(members=["linear", "cqt"]), "networks"),
        (lambda info: info.update(members=["main"]), "members"),
        (lambda info: info["sha256"]["networks"].pop(), "sha256.networks"),
        (lambda info: info["calibrated_on"].update(dev_spoof=3), "calibrated_on"),
        (lambda info: info.update(fusion_version=2), "fusion version 2"),
        (lambda info: info.update(surprise=1), "surprise"),
    ],
)
def test_a_forged_value_is_refused_by_its_key(
    copied: Path, change: Callable[[dict[str, Any]], object], key: str
) -> None:
    reseal_fusion(copied, change)

    with pytest.raises(ModelError, match=rf"{re.escape(key)}.*bonafide fuse"):
        load_model(copied)


def test_a_changed_weight_without_a_new_checksum_is_refused(copied: Path) -> None:
    path = copied / "fusion.json"
    path.write_text(path.read_text().replace('"prior": 0.5', '"prior": 0.6'))

    with pytest.raises(ModelError, match="own_sha256"):
        load_model(copied)


def test_networks_of_two_sample_rates_are_refused(copied: Path) -> None:
    def half_the_rate(info: dict[str, Any]) -> None:
        info["front_end"]["parameters"].update(sample_rate=8000)

    parts = read_fusion(copied)
    reseal_bundle(parts.networks["linear"], half_the_rate)
    with pytest.raises(ModelError, match="main 16000 Hz, linear 8000 Hz"):
        write_fusion(parts.networks, parts.fusion, parts.development, parts.calibrated_on, copied.with_name("other"))
    assert not copied.with_name("other").exists()


@pytest.mark.parametrize("function", ["write_development", "sha256_of", "write_json"])
def test_a_fusion_that_is_not_written_to_its_end_leaves_the_old_one(
    copied: Path, fused: FusedProject, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    parts = read_fusion(fused.bundle)
    newer = Fusion(parts.fusion.weights * 2, 0.0, 0.5)
    with monkeypatch.context() as patch:
        patch.setattr(model.fusion_file, function, interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_fusion(parts.networks, newer, parts.development, parts.calibrated_on, copied)

    assert files_of(copied) == files_of(fused.bundle)
    # What a killed process leaves, which cannot tidy up.
    (copied.parent / ".fusion.work" / "new" / "main").mkdir(parents=True)
    write_fusion(parts.networks, newer, parts.development, parts.calibrated_on, copied)
    assert read_fusion(copied).fusion.weights.tolist() == newer.weights.tolist()
    assert [path.name for path in copied.parent.iterdir()] == ["fusion"], "nothing is left beside it"


def test_one_process_writes_a_fusion_at_a_time(copied: Path, fused: FusedProject) -> None:
    parts, work = read_fusion(fused.bundle), copied.parent / ".fusion.work"
    work.mkdir()
    handle = os.open(work, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)

    with pytest.raises(BlockingIOError, match=f"{re.escape(str(copied))}: another process is writing it"):
        write_fusion(parts.networks, parts.fusion, parts.development, parts.calibrated_on, copied)

    os.close(handle)
    assert files_of(copied) == files_of(fused.bundle)


def test_a_folder_with_other_files_is_not_replaced(copied: Path, fused: FusedProject) -> None:
    (copied / "notes.txt").write_text("mine")
    parts = read_fusion(fused.bundle)

    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        write_fusion(parts.networks, parts.fusion, parts.development, parts.calibrated_on, copied)

    assert (copied / "notes.txt").read_text() == "mine"


def test_what_needs_one_network_says_where_they_are(
    fused: FusedProject, run_bonafide: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=re.escape(f"give {fused.bundle / 'main'}, or the folder of one in")):
        load_bundle(fused.bundle)
    for command, advice in (("export", "give"), ("batch", "give the output of bonafide export --model")):
        code, text = run_bonafide(command, "--model", fused.bundle, "--output", tmp_path / "out")
        assert code == 1
        assert f"takes one: {advice} {fused.bundle / 'main'}" in re.sub(r"\s+", " ", text), text


def test_a_network_of_a_fusion_is_a_model_of_its_own(fused: FusedProject) -> None:
    assert Detector.load(fused.bundle / "members" / "linear").bundle.features.kind == "log_linear"
