"""What holds for every metric at once: which transforms of the scores change it, and what sklearn says."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from model.metrics import (
    AsvErrorRates,
    a_dcf,
    act_dcf,
    auc,
    average_precision,
    classify,
    cllr,
    eer,
    min_dcf,
    min_tdcf_2019,
    min_tdcf_2021,
    rocch_eer,
)

pytestmark = pytest.mark.filterwarnings("ignore::model.metrics.InvertedLabelsWarning")

quick = settings(max_examples=50, deadline=None)
Array = NDArray[np.float64]
Metric = Callable[[Array, Array], float]
ASV = AsvErrorRates(threshold=0.0, eer=0.025, miss=0.02, false_alarm=0.03, spoof_false_alarm=0.6)

RANK_METRICS: dict[str, Metric] = {
    "eer": lambda bonafide, spoof: eer(bonafide, spoof).value,
    "rocch_eer": rocch_eer,
    "auc": auc,
    "average_precision": average_precision,
    "min_dcf": min_dcf,
    "min_tdcf_2019": lambda bonafide, spoof: min_tdcf_2019(bonafide, spoof, ASV),
    "min_tdcf_2021": lambda bonafide, spoof: min_tdcf_2021(bonafide, spoof, ASV),
    "a_dcf": lambda bonafide, spoof: a_dcf(bonafide, spoof, spoof),
}
# On a grid, so that no transform merges two scores or tells two equal ones apart.
scores = npst.arrays(np.float64, st.integers(2, 50), elements=st.integers(-40, 40).map(lambda k: k / 8))


@given(bonafide=scores, spoof=scores, transform=st.sampled_from([np.exp, np.arctan, lambda x: 3 * x - 7]))
@quick
def test_monotone_transforms_change_nothing(bonafide: Array, spoof: Array, transform: Callable[[Array], Array]) -> None:
    assume(len(np.unique(np.concatenate((bonafide, spoof)))) >= 3)
    for name, metric in RANK_METRICS.items():
        assert metric(transform(bonafide), transform(spoof)) == pytest.approx(metric(bonafide, spoof), abs=1e-12), name


@given(bonafide=scores, spoof=scores, seed=st.integers(0, 1000))
@quick
def test_the_order_of_trials_changes_nothing(bonafide: Array, spoof: Array, seed: int) -> None:
    assume(len(np.unique(np.concatenate((bonafide, spoof)))) >= 3)
    rng = np.random.default_rng(seed)
    for name, metric in (RANK_METRICS | {"act_dcf": act_dcf, "cllr": cllr}).items():
        assert metric(rng.permutation(bonafide), rng.permutation(spoof)) == metric(bonafide, spoof), name


@given(bonafide=scores, spoof=scores)
@quick
def test_normalised_costs_stay_within_their_range(bonafide: Array, spoof: Array) -> None:
    assume(len(np.unique(np.concatenate((bonafide, spoof)))) >= 3)
    for name in ("min_dcf", "min_tdcf_2019", "min_tdcf_2021", "a_dcf"):
        assert 0 <= RANK_METRICS[name](bonafide, spoof) <= 1 + 1e-12, name
    assert act_dcf(bonafide, spoof) >= min_dcf(bonafide, spoof) - 1e-12


def test_perfect_scores_cost_nothing_but_what_the_asv_system_costs() -> None:
    bonafide, spoof = np.array([50.0, 51.0]), np.array([-50.0, -51.0])
    for name in ("eer", "rocch_eer", "min_dcf", "min_tdcf_2019", "a_dcf"):
        assert RANK_METRICS[name](bonafide, spoof) == 0, name
    assert auc(bonafide, spoof) == average_precision(bonafide, spoof) == 1
    assert act_dcf(bonafide, spoof) == 0
    assert cllr(bonafide, spoof) == pytest.approx(0, abs=1e-12)
    asv_cost = 0.9405 * 0.02 + 0.0095 * 10 * 0.03
    assert RANK_METRICS["min_tdcf_2021"](bonafide, spoof) == pytest.approx(asv_cost / (asv_cost + 0.05 * 10 * 0.6))


@given(bonafide=scores, spoof=scores, threshold=st.integers(-40, 40).map(lambda k: k / 8))
@quick
def test_sklearn_agrees(bonafide: Array, spoof: Array, threshold: float) -> None:
    assume(len(np.unique(np.concatenate((bonafide, spoof)))) >= 3)
    labels = np.concatenate((np.ones(len(bonafide), int), np.zeros(len(spoof), int)))
    values = np.concatenate((bonafide, spoof))
    called = (values >= threshold).astype(int)
    ours = classify(bonafide, spoof, threshold)
    assert auc(bonafide, spoof) == pytest.approx(sklearn_metrics.roc_auc_score(labels, values))
    assert average_precision(bonafide, spoof) == pytest.approx(sklearn_metrics.average_precision_score(labels, values))
    assert ours.accuracy == pytest.approx(sklearn_metrics.accuracy_score(labels, called))
    assert ours.balanced_accuracy == pytest.approx(sklearn_metrics.balanced_accuracy_score(labels, called))
    assert ours.precision == pytest.approx(sklearn_metrics.precision_score(labels, called, zero_division=0))
    assert ours.recall == pytest.approx(sklearn_metrics.recall_score(labels, called))
    assert ours.f1 == pytest.approx(sklearn_metrics.f1_score(labels, called, zero_division=0))


@pytest.mark.parametrize("separation", [0.5, 1.0, 3.0])
def test_cllr_of_a_calibrated_gaussian_pair_is_its_integral(separation: float) -> None:
    # LLRs of two normals of variance v at ± v/2 are their own LLRs; then both halves of Cllr are one integral.
    variance = separation**2
    grid = np.linspace(-60, 60, 1_200_001)
    density = np.exp(-((grid - variance / 2) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    expected = float(np.sum(density * np.logaddexp(0, -grid)) * (grid[1] - grid[0]) / math.log(2))
    rng = np.random.default_rng(2)
    bonafide = rng.normal(variance / 2, separation, 400_000)
    spoof = rng.normal(-variance / 2, separation, 400_000)
    assert cllr(bonafide, spoof) == pytest.approx(expected, abs=0.003)


def test_cllr_of_scores_that_say_nothing_is_one_bit() -> None:
    assert cllr([1e-9, 0.0], [-1e-9, 0.0]) == pytest.approx(1)


def test_act_dcf_decides_at_the_bayes_threshold() -> None:
    # -log 1.9 = -0.642: the first spoof trial is accepted, the second is not, no bona fide trial is missed.
    assert act_dcf([-0.6, 2.0], [-0.64, -0.65]) == pytest.approx(0.5)
