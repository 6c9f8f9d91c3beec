import itertools
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from model.metrics import InvertedLabelsWarning, MetricsError, det_curve, eer, rocch_eer
from model.metrics.rates import curve_of_checked, eer_of_curve, rocch_eer_of_curve

Array = NDArray[np.float64]

quick = settings(max_examples=50, deadline=None)
# Few distinct values, so that ties within and between the classes are common.
tied_scores = npst.arrays(np.float64, st.integers(2, 40), elements=st.integers(-5, 5).map(float))
any_scores = npst.arrays(np.float64, st.integers(2, 40), elements=st.floats(-1e6, 1e6))


def crossing(bonafide: Array, spoof: Array) -> float:
    """Where the polygon through all points (threshold by threshold, the slow way) crosses miss = false alarm."""
    thresholds = [*np.unique(np.concatenate((bonafide, spoof))), np.inf]
    points = [(float(np.mean(bonafide < t)), float(np.mean(spoof >= t))) for t in thresholds]
    for (miss, false_alarm), (next_miss, next_false_alarm) in itertools.pairwise(points):
        if next_miss >= next_false_alarm:
            share = (false_alarm - miss) / (false_alarm - miss + next_miss - next_false_alarm)
            return miss + share * (next_miss - miss)
    raise AssertionError


@given(tied_scores | any_scores, tied_scores | any_scores)
@quick
def test_eer_is_within_half_a_trial_of_the_interpolated_crossing(bonafide: Array, spoof: Array) -> None:
    half_a_trial = 0.5 / min(len(bonafide), len(spoof))
    value = eer_of_curve(curve_of_checked(bonafide, spoof)).value
    assert abs(value - crossing(bonafide, spoof)) <= half_a_trial + 1e-12


@given(tied_scores, tied_scores)
@quick
def test_eer_of_ties_that_hold_both_classes_is_the_crossing_itself(bonafide: Array, spoof: Array) -> None:
    bonafide, spoof = np.repeat(bonafide, 2), np.repeat(spoof, 2)
    assert eer_of_curve(curve_of_checked(bonafide, spoof)).value == pytest.approx(crossing(bonafide, spoof), abs=1e-12)


@given(any_scores, any_scores)
@quick
def test_eer_threshold_is_finite_and_gives_rates_on_both_sides_of_the_eer(bonafide: Array, spoof: Array) -> None:
    value, threshold = eer_of_curve(curve_of_checked(bonafide, spoof))
    rates = sorted((float(np.mean(bonafide < threshold)), float(np.mean(spoof >= threshold))))
    assert np.isfinite(threshold)
    assert rates[0] - 1e-12 <= value <= rates[1] + 1e-12


@given(any_scores, any_scores, st.randoms(use_true_random=False))
@quick
def test_permuting_trials_changes_nothing(bonafide: Array, spoof: Array, random: "object") -> None:
    shuffled = list(bonafide), list(spoof)
    for part in shuffled:
        random.shuffle(part)  # type: ignore[attr-defined]
    first, second = curve_of_checked(bonafide, spoof), curve_of_checked(*map(np.array, shuffled))
    assert eer_of_curve(first) == eer_of_curve(second)
    assert rocch_eer_of_curve(first) == rocch_eer_of_curve(second)


@given(tied_scores | any_scores, tied_scores | any_scores)
@quick
def test_rocch_eer_is_never_above_the_crossing_and_never_above_one_half(bonafide: Array, spoof: Array) -> None:
    hull = rocch_eer_of_curve(curve_of_checked(bonafide, spoof))
    assert -1e-12 <= hull <= min(0.5, crossing(bonafide, spoof)) + 1e-12


@given(tied_scores, tied_scores)
@quick
def test_rocch_eer_is_the_worst_prior_of_the_best_threshold(bonafide: Array, spoof: Array) -> None:
    # Another characterisation of the hull's crossing: max over priors of the least error over thresholds.
    curve = curve_of_checked(bonafide, spoof)
    priors = np.linspace(0, 1, 2001)[:, None]
    worst = float((priors * curve.miss + (1 - priors) * curve.false_alarm).min(axis=1).max())
    assert rocch_eer_of_curve(curve) == pytest.approx(worst, abs=1e-3)


def test_separable_scores_have_no_error() -> None:
    assert eer([2.0, 3.0, 4.0], [-1.0, 0.0, 1.0]) == (0.0, 1.5)
    assert rocch_eer([2.0, 3.0, 4.0], [-1.0, 0.0, 1.0]) == 0.0


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0, 3.0])
def test_shifted_normals_have_the_closed_form(distance: float) -> None:
    rng = np.random.default_rng(1)
    bonafide, spoof = rng.normal(distance, 1, 200_000), rng.normal(0, 1, 200_000)
    expected = NormalDist().cdf(-distance / 2)
    assert eer(bonafide, spoof).value == pytest.approx(expected, abs=0.003)
    assert rocch_eer(bonafide, spoof) == pytest.approx(expected, abs=0.003)


def test_all_trials_tied_is_chance() -> None:
    assert eer_of_curve(curve_of_checked(np.zeros(3), np.zeros(5))).value == 0.5


def test_inverted_labels_warn() -> None:
    with pytest.warns(InvertedLabelsWarning, match=r"EER is 100\.0%, above 50 %.*Labels may be inverted"):
        eer([-1.0, 0.0], [1.0, 2.0])


def test_a_threshold_stands_for_the_same_decisions_whatever_digits_scores_are_written_with() -> None:
    curve = det_curve([1.0, 2.0, 3.0], [0.0, 1.5, 2.5])
    for point in range(len(curve.thresholds)):
        assert curve.point(curve.threshold(point)) == point


@pytest.mark.parametrize(
    ("bonafide", "spoof", "message"),
    [
        ([], [1.0], "no bona fide score"),
        ([1.0], [], "no spoof score"),
        ([1.0, float("nan"), float("inf")], [0.0], r"2 of 3 bona fide scores are not finite: \[1\] = nan, \[2\] = inf"),
        ([1.0, 1.0], [0.0], "only 2 distinct scores: these look like hard decisions"),
        ([[1.0]], [0.0], "one-dimensional"),
    ],
)
def test_scores_without_an_honest_number_are_refused(bonafide: object, spoof: object, message: str) -> None:
    with pytest.raises(MetricsError, match=message):
        eer(bonafide, spoof)  # type: ignore[arg-type]
