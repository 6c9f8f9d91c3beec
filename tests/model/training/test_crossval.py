"""Leave-attacks-out: which attacks are left out, what is scored, and the calibration that takes the scores."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from model.bundle import load_bundle
from model.detector import Detector
from model.errors import ModelError
from model.metrics import Calibration, cllr, dev_threshold, eer, fit_calibration, refit, score_table
from model.params import CrossvalParams, TrainParams
from model.sampler import CropSampler
from model.training.calibrate import calibrate
from model.training.crossval import CrossvalResult, cross_validate, folds, without_attacks, write_crossval
from model.training.held_out import SCHEMA, HeldOutTrials, read_held_out, write_held_out
from model.training.train import train
from pipeline.store import FeatureStore
from tests.support.parameters import ProjectParams
from tests.support.tone_store import tone_manifest, write_tone_store
from tests.support.trained_model import Trained

TWO_FOLDS = CrossvalParams(folds=2, leave_out=None, seed=1)
NO_FOLDS = CrossvalParams(folds=0, leave_out=None, seed=1)


@pytest.fixture(scope="module")
def short_params(train_params: TrainParams) -> TrainParams:
    return train_params.model_copy(update={"steps": 12})


@pytest.fixture(scope="module")
def result(tone_store: FeatureStore, short_params: TrainParams) -> CrossvalResult:
    return cross_validate(tone_store, short_params, TWO_FOLDS)


def store_of(folder: Path, params: ProjectParams, attacks: Sequence[str]) -> FeatureStore:
    """The tones with other attacks, in turn."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        number = int(row["utterance_id"].rsplit("_", 1)[1])
        return row if row["label"] else {**row, "attack_id": attacks[number // 3 % len(attacks)]}

    return write_tone_store(folder, tone_manifest(change=change), params)


def test_each_attack_is_left_out_once_and_twins_never(tmp_path: Path, tone_params: ProjectParams) -> None:
    names = ("A01", "A02", "A03", "A04", "CS-world")
    store = store_of(tmp_path, tone_params, names)

    dealt = folds(store, TWO_FOLDS)

    assert sorted(name for fold in dealt for name in fold) == ["A01", "A02", "A03", "A04"]
    assert [len(fold) for fold in dealt] == [2, 2]
    assert dealt == folds(store, TWO_FOLDS)
    others = {tuple(folds(store, TWO_FOLDS.model_copy(update={"seed": seed}))) for seed in range(9)}
    assert len(others) > 1
    assert "CS-world" in without_attacks(store, dealt[0]).index["attack_id"].to_pylist()


def test_listed_attacks_are_left_out_together(tmp_path: Path, tone_params: ProjectParams) -> None:
    store = store_of(tmp_path, tone_params, ("A01", "A02", "A03"))

    def listed(*groups: tuple[str, ...]) -> list[tuple[str, ...]]:
        return folds(store, CrossvalParams(folds=len(groups), leave_out=groups, seed=0))

    assert listed(("A03", "A01")) == [("A01", "A03")]
    with pytest.raises(ModelError, match="A09: not an attack of both train and dev, which have A01, A02, A03"):
        listed(("A01", "A09"))
    with pytest.raises(ModelError, match="A01: each attack belongs to one fold"):
        listed(("A01",), ("A01", "A02"))
    with pytest.raises(ModelError, match="leaves no other attack"):
        listed(("A01", "A02", "A03"))


def test_a_store_without_some_attacks_gives_batches_without_them(
    tone_store: FeatureStore, train_params: TrainParams
) -> None:
    rest = without_attacks(tone_store, ["A01"])

    assert set(rest.index["attack_id"].to_pylist()) == {None, "A02"}
    train_rows = rest.select(split="train").index
    sampler = CropSampler.of(rest, train_params)
    drawn = {train_rows["attack_id"][int(row)].as_py() for step in range(9) for row in sampler.examples(step)}
    assert drawn == {None, "A02"}
    assert sampler.batch(0).labels.mean() == 0.5


def test_every_fold_scores_bona_fide_and_its_own_attacks_of_dev(
    result: CrossvalResult, tone_store: FeatureStore
) -> None:
    dev = tone_store.select(split="dev", copy=0)
    rows = result.trials.rows.to_pylist()

    attacks_of = {number: set(fold["attacks"]) for number, fold in result.metrics["folds"].items()}
    assert sorted(attacks_of) == ["1", "2"]
    assert set.union(*attacks_of.values()) == {"A01", "A02"}
    for number, attacks in attacks_of.items():
        scored = {row["utterance_id"] for row in rows if row["fold"] == int(number)}
        wanted = (row for row in dev.index.to_pylist() if row["label"] == 1 or row["attack_id"] in attacks)
        assert scored == {row["utterance_id"] for row in wanted}


def test_metrics_are_those_of_the_scores(result: CrossvalResult) -> None:
    metrics = result.metrics
    for number, fold in metrics["folds"].items():
        table = result.trials.table(int(number))
        assert fold["eer"] == eer(table.bonafide, table.spoof).value
        assert (fold["n_bonafide"], fold["n_spoof"]) == (len(table.bonafide), len(table.spoof))
    assert metrics["mean_eer"] == pytest.approx(sum(fold["eer"] for fold in metrics["folds"].values()) / 2)
    assert set(metrics["per_attack"]) == {"A01", "A02"}
    assert metrics["mean_eer"] < 0.4, "an unseen attack sounds like the one that was seen"


def test_an_interrupted_crossval_goes_on_in_its_fold_and_gives_the_same_scores(
    tmp_path: Path, result: CrossvalResult, tone_store: FeatureStore, short_params: TrainParams
) -> None:
    class StopError(Exception):
        """Stands for a kill."""

    steps: dict[int, list[int]] = {1: [], 2: []}
    told: list[str] = []

    def run(last_step: int, params: TrainParams = short_params, attacks: CrossvalParams = TWO_FOLDS) -> CrossvalResult:
        def progress_of(fold: int, attacks: Sequence[str]) -> Any:
            def progressed(done: int, total: int, latest: object) -> None:
                steps[fold].append(done)
                if (fold, done) == (2, last_step):
                    raise StopError

            return progressed

        return cross_validate(tone_store, params, attacks, progress_of, tmp_path, told.append)

    with pytest.raises(StopError):
        run(9)
    assert (told, steps[1], steps[2]) == ([], list(range(1, 13)), list(range(1, 10)))
    steps[1].clear()
    steps[2].clear()

    again = run(0)

    assert told == ["Fold 1: Resuming at step 12 of 12.", "Fold 2: Resuming at step 6 of 12."]
    assert (steps[1], steps[2]) == ([], list(range(7, 13)))
    assert again.trials.rows.equals(result.trials.rows)
    assert again.metrics == result.metrics

    told.clear()
    with pytest.raises(StopError):
        run(1, attacks=CrossvalParams(folds=2, leave_out=(("A02",), ("A01",)), seed=1))
    reason = "The checkpoint of an interrupted training is not used: the attacks left out changed."
    assert told == [f"Fold 1: {reason}", f"Fold 2: {reason}"]


def test_files_are_read_as_they_were_written(tmp_path: Path, result: CrossvalResult) -> None:
    write_crossval(result, tmp_path / "data", tmp_path / "report")

    found = read_held_out(tmp_path / "data")
    assert found.rows.equals(result.trials.rows)
    assert found.store_fingerprint == result.trials.store_fingerprint
    assert json.loads((tmp_path / "report" / "details.json").read_text()) == result.metrics
    assert json.loads((tmp_path / "report" / "metrics.json").read_text()) == {"mean_eer": result.metrics["mean_eer"]}


def test_missing_damaged_and_foreign_files_are_refused(
    tmp_path: Path, result: CrossvalResult, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    with pytest.raises(ModelError, match="make it with `bonafide crossval`"):
        read_held_out(tmp_path)
    (tmp_path / "scores.parquet").write_bytes(b"PAR1")
    with pytest.raises(ModelError, match="cannot be read"):
        read_held_out(tmp_path)
    other = HeldOutTrials(result.trials.rows, "another fingerprint")
    with pytest.raises(ModelError, match="comes from another feature store"):
        train(tone_store, train_params, tmp_path / "model", tmp_path / "report", held_out=other)


def test_without_folds_nothing_is_trained_and_the_table_is_empty(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams, tone_params: ProjectParams
) -> None:
    off = cross_validate(tone_store, train_params, NO_FOLDS)
    single = cross_validate(store_of(tmp_path / "store", tone_params, ["A01"]), train_params, TWO_FOLDS)

    for found in (off, single):
        assert found.trials.rows.num_rows == 0
        assert found.metrics == {"n_folds": 0, "folds": {}, "per_attack": {}}
    assert off.note is None
    assert single.note is not None
    assert "fewer than two attacks" in single.note
    write_held_out(off.trials, tmp_path)
    assert read_held_out(tmp_path).folds == []


def test_calibration_counts_unseen_attacks_as_much_as_seen_ones(trained: Trained, result: CrossvalResult) -> None:
    dev = load_bundle(trained.model).development

    alone, both = calibrate(dev, None), calibrate(dev, result.trials)

    assert alone.table.utterance_ids.tolist() == dev.utterance_ids.tolist()
    expected = fit_calibration(dev.bonafide, dev.spoof)
    assert (alone.calibration.slope, alone.calibration.intercept) == (expected.slope, expected.intercept)
    assert dict(both.counts) == {
        "dev_bonafide": 8,
        "dev_spoof": 16,
        "folds": 2,
        "held_out_bonafide": 16,
        "held_out_spoof": 16,
    }
    assert len(both.table) == 56
    assert both.calibration.slope != alone.calibration.slope


def test_the_bundle_takes_threshold_and_counts_from_all_trials(
    tmp_path: Path, result: CrossvalResult, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    done = train(tone_store, train_params, tmp_path / "model", tmp_path / "report", held_out=result.trials)

    bundle = load_bundle(tmp_path / "model")
    assert bundle.calibrated_on == done.calibrated_on
    assert bundle.calibrated_on["folds"] == 2
    assert bundle.threshold == dev_threshold(bundle.development) == done.threshold
    assert {name.partition(":")[0] for name in bundle.development.utterance_ids.tolist() if ":" in name} == {
        "crossval-1",
        "crossval-2",
    }
    assert list(Detector(bundle).score_files([])) == []


def test_the_commands_crossval_and_train_work_together(
    tmp_path: Path, trained: Trained, run_bonafide: Any, result: CrossvalResult
) -> None:
    params = tmp_path / "params.yaml"
    content = trained.params.model_dump(mode="json")
    content["train"]["steps"] = 12
    content["crossval"]["folds"] = 2
    params.write_text(yaml.safe_dump(content))
    store = ["--store", trained.store.storage.url, "--params", params]

    code, text = run_bonafide("crossval", *store, "--output", tmp_path / "crossval", "--report", tmp_path / "report")
    assert code == 0, text
    assert "Attacks left out of train, scored on dev" in text
    assert json.loads((tmp_path / "report" / "details.json").read_text()) == result.metrics
    assert json.loads((tmp_path / "report" / "metrics.json").read_text()) == {"mean_eer": result.metrics["mean_eer"]}

    folders = ["--crossval", tmp_path / "crossval", "--output", tmp_path / "model", "--report", tmp_path / "train"]
    code, text = run_bonafide("train", *store, *folders)
    assert code == 0, text
    assert "and 16 and 16 trials of 2 folds" in " ".join(text.split())


def gaussian_ratios(separation: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of bona fide and spoof trials that are honest log-likelihood ratios."""
    noise = np.random.default_rng(seed).normal(0, separation, (2, n))
    return noise[0] + separation**2 / 2, noise[1] - separation**2 / 2


def test_with_held_out_attacks_the_ratios_are_nearer_to_honest_on_unseen_ones() -> None:
    n = 4000
    labels = np.repeat([1, 0], n)
    names = [str(number) for number in range(2 * n)]
    bonafide, known = gaussian_ratios(3.0, n, seed=0)
    # An unseen attack is nearer to bona fide by 6 nats.
    dev = score_table(names, np.concatenate((bonafide, known)), labels)
    rows = [
        {"fold": 1, "utterance_id": name, "speaker_id": None, "attack_id": None, "label": int(label), "logit": logit}
        for name, label, logit in zip(names, labels, np.concatenate((bonafide, known + 6)).tolist(), strict=True)
    ]
    held_out = HeldOutTrials(pa.Table.from_pylist(rows, schema=SCHEMA), "fingerprint")
    new_bonafide, new_spoof = gaussian_ratios(3.0, n, seed=1)

    def slope_and_cost(calibration: Calibration) -> tuple[float, float]:
        ratios = calibration.apply(new_bonafide), calibration.apply(new_spoof + 6)
        return refit(*ratios).slope, cllr(*ratios)

    (alone, cost_alone), (both, cost_both) = (
        slope_and_cost(calibrate(dev, trials).calibration) for trials in (None, held_out)
    )
    assert alone == pytest.approx(1 / 3, abs=0.05), "the means are 3 apart now, not 9"
    assert alone < both < 1
    assert cost_both < cost_alone
