"""Twins in the features job: of bona fide train clips alone, spoof, as long as their copy, and the same with any workers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from pipeline.corpus.manifest import build_manifest
from pipeline.job.run import run_features
from pipeline.parameter_file import parse_params
from pipeline.params import Params
from pipeline.store import FeatureStore
from pipeline.store.describe import describe
from pipeline.store.reader import read_rejects
from pipeline.store.verify import verify
from tests.support.front_ends import LOG_MEL
from tests.support.synthetic_corpus import write_corpus
from tests.support.synthetic_store import PARAMS_FILE, files_of

N_COPIES, N_TWINS = 1, 3
N_UTTERANCES = 9
IN_THIS_PROCESS = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]


def params_of(root: Path, **copy_synthesis: Any) -> Params:
    content: dict[str, Any] = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
    content["augment"]["copies"] = N_COPIES
    content["augment"]["copy_synthesis"] |= {"copies": N_TWINS, **copy_synthesis}
    content["augment"]["time_stretch"]["probability"] = 1.0
    content["data"]["root"] = str(root)
    content["store"]["shards"] = 2
    content["features"] |= LOG_MEL.spectral() | {"n_mels": 24, "max_reject_fraction": 0.0}
    return parse_params(content, "test", Params)


class Made:
    """A small corpus and its store with twins."""

    def __init__(self, folder: Path) -> None:
        self.root = write_corpus(folder / "LA", N_UTTERANCES)
        self.manifest = build_manifest(self.root)
        self.folder = folder / "store"
        self.run(self.folder)
        self.store = FeatureStore.open(self.folder)
        self.rows: list[dict[str, Any]] = self.store.index.to_pylist()

    def run(self, output: Path, flags: list[str] = IN_THIS_PROCESS, **copy_synthesis: Any) -> Any:
        return run_features(self.manifest, self.root, str(output), params_of(self.root, **copy_synthesis), flags)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("twins"))


def test_the_store_is_intact_and_agrees_with_the_manifest(made: Made) -> None:
    assert verify(made.folder, made.manifest) == []


def test_twins_are_made_of_every_copy_of_bona_fide_train_clips_alone(made: Made) -> None:
    labels = {row["utterance_id"]: row["label"] for row in made.manifest.to_pylist()}
    twins = [row for row in made.rows if row["twin_of"] is not None]
    assert {row["split"] for row in twins} == {"train"}
    assert {labels[row["utterance_id"]] for row in twins} == {1}
    n_bona_fide = sum(row["label"] for row in made.manifest.to_pylist() if row["split"] == "train")
    assert len(twins) == n_bona_fide * (1 + N_COPIES) * N_TWINS
    for row in twins:
        number = row["copy"] - 1 - N_COPIES
        assert row["twin_of"] == number // N_TWINS
        told = json.loads(row["augmentation"])
        assert told["twin_of"] == row["twin_of"]
        assert row["attack_id"] == f"CS-{told['copy_synthesis']['kind']}"
        assert row["label"] == 0


def test_a_twin_has_the_length_and_the_augmentation_of_its_copy(made: Made) -> None:
    by_copy = {(row["utterance_id"], row["copy"]): row for row in made.rows}
    for row in made.rows:
        if row["twin_of"] is None:
            continue
        partner = by_copy[row["utterance_id"], row["twin_of"]]
        assert row["n_frames"] == partner["n_frames"]
        assert row["duration_s"] == partner["duration_s"]
        shared = {key: value for key, value in json.loads(row["augmentation"]).items() if key != "twin_of"}
        shared.pop("copy_synthesis")
        assert shared == json.loads(partner["augmentation"])
        if row["twin_of"] == 0:
            assert abs(row["level_db"] - partner["level_db"]) < 0.1
        own, other = (made.store.get(row["utterance_id"], each["copy"]).features for each in (row, partner))
        assert not np.array_equal(own, other)


def test_worker_processes_do_not_change_a_byte(made: Made, tmp_path: Path) -> None:
    made.run(
        tmp_path / "store", ["--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    )
    assert files_of(tmp_path / "store") == files_of(made.folder)


def test_originals_and_copies_are_those_of_a_store_without_twins(made: Made, tmp_path: Path) -> None:
    made.run(tmp_path / "plain", copies=0)
    plain = FeatureStore.open(tmp_path / "plain")
    assert plain.index.num_rows == len(made.rows) - sum(row["twin_of"] is not None for row in made.rows)
    for row in plain.index.to_pylist():
        again = made.store.get(row["utterance_id"], row["copy"])
        assert np.array_equal(again.features, plain.get(row["utterance_id"], row["copy"]).features)
    assert np.array_equal(plain.statistics.mean, made.store.statistics.mean)
    rejects = [read_rejects(store.storage, []) for store in (plain, made.store)]
    assert describe(plain.index, rejects[0]) == describe(made.store.index, rejects[1])


def test_other_kinds_or_numbers_make_the_store_stale(made: Made, tmp_path: Path) -> None:
    fingerprints = set()
    for changes in ({}, {"kinds": ["lpc"]}, {"kinds": ["lpc", "psola"]}, {"copies": 1}):
        params = params_of(made.root, **changes)
        fingerprints.add(json.dumps(params.augment.model_dump(mode="json", exclude_defaults=True)))
    assert len(fingerprints) == 4
    output = tmp_path / "store"
    made.run(output, kinds=["lpc"])
    result = made.run(output, kinds=["lpc", "psola"])
    assert result.kept == 0
    attacks = set(FeatureStore.open(output).index["attack_id"].to_pylist())
    assert {attack for attack in attacks if attack and attack.startswith("CS-")} == {"CS-lpc", "CS-psola"}


def test_select_finds_twins_by_attack(made: Made) -> None:
    kinds = {row["attack_id"] for row in made.rows if row["twin_of"] is not None}
    for kind in kinds:
        chosen = made.store.select(attack_id=kind)
        assert len(chosen) == sum(row["attack_id"] == kind for row in made.rows) > 0
    assert made.store.index.schema.field("twin_of").type == pa.int32()
