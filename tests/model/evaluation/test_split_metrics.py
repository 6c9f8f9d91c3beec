"""The metrics of a split: attacks of train and others, calibration, and what DVC tracks."""

from typing import Any

import numpy as np
import pytest

from model.evaluation.split_metrics import split_metrics, tracked
from model.metrics import ScoreTable, abstain_band, eer, score_table
from tests.support.parameters import load_project_params

TRAINED = [f"A{number:02d}" for number in range(1, 7)]


def gaussian(attacks: list[str], slope: float = 1.0, seed: int = 0) -> ScoreTable:
    """Honest ratios divided by a slope; the spoof trials are of the attacks in turn."""
    draw = np.random.default_rng(seed)
    n = 4000
    labels = np.repeat([1, 0], n)
    ratios = draw.normal(np.where(labels, 2.0, -2.0), 2.0) / slope
    ids = np.concatenate((np.full(n, "-"), np.resize(attacks, n)))
    return score_table([str(number) for number in range(2 * n)], ratios, labels, ids)


def metrics_of(table: ScoreTable, aliases: dict[str, str] | None = None, n_resamples: int = 0) -> dict[str, Any]:
    params = load_project_params().evaluate.model_copy(
        update={"intervals": n_resamples, "attack_aliases": aliases or {}}
    )
    band = abstain_band(table.bonafide, table.spoof, 0.05)
    return split_metrics("eval", table, table, 0.0, band, params, TRAINED)


def test_attacks_of_train_under_other_ids_are_seen() -> None:
    table = gaussian(["A07", "A16", "A19"])

    found = metrics_of(table, n_resamples=10)

    assert found["seen_attacks"] == {"A16": "A04", "A19": "A06"}
    assert found["unseen"]["eer"] == eer(table.bonafide, table.scores[table.attack_ids == "A07"]).value
    assert found["seen"]["eer_ci95_low"] <= found["seen"]["eer"] <= found["seen"]["eer_ci95_high"]
    assert found["seen"]["n_spoof"] + found["unseen"]["n_spoof"] == found["n_spoof"]


def test_aliases_of_the_parameters_are_used_for_any_corpus() -> None:
    found = metrics_of(gaussian(["vocoder", "other"]), {"vocoder": "A02"})

    assert found["seen_attacks"] == {"vocoder": "A02"}
    assert "unseen" in found


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_the_slope_tells_how_far_the_ratios_are_from_honest(slope: float) -> None:
    found = metrics_of(gaussian(["A07"], slope))

    assert found["calibration_slope"] == pytest.approx(slope, rel=0.06)
    assert found["calibration_offset"] == pytest.approx(0.0, abs=0.1)
    assert found["min_cllr"] < found["cllr"]
    assert 0 <= found["certain_wrong"] <= 0.05 + 1e-9


def test_dvc_tracks_about_twenty_headline_scalars_and_they_are_those_of_the_details() -> None:
    eval_metrics = metrics_of(gaussian(["A07", "A16"]), n_resamples=10) | {"trimmed": {"eer": 0.2}}
    dev_metrics = metrics_of(gaussian(["A01"]), n_resamples=10)

    found = tracked({"abstain_band": {"low": 0.0}, "dev": dev_metrics, "eval": eval_metrics})

    assert set(found) == {"dev", "eval"}
    assert 15 <= sum(map(len, found.values())) <= 24
    assert all(isinstance(value, float) for figures in found.values() for value in figures.values())
    assert found["eval"]["eer"] == eval_metrics["eer"]
    assert found["eval"]["eer_seen"] == eval_metrics["seen"]["eer"]
    assert found["eval"]["eer_unseen"] == eval_metrics["unseen"]["eer"]
    assert found["eval"]["eer_trimmed"] == 0.2
    assert found["dev"]["cllr"] == dev_metrics["cllr"]


def test_a_split_without_labels_is_tracked_by_its_size() -> None:
    assert tracked({"eval": {"n_trials": 24}}) == {"eval": {"n_trials": 24}}
