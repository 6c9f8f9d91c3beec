import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from model.metrics import (
    InvertedLabelsWarning,
    MetricsError,
    calibration_checks,
    cllr,
    eer,
    fit_calibration,
    min_cllr,
    probability,
    refit,
    reliability_diagram,
    score_table,
)


def calibrated_pair(n: int = 20_000, separation: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    variance = separation**2
    return rng.normal(variance / 2, separation, n), rng.normal(-variance / 2, separation, n)


def test_log_likelihood_ratios_are_recovered_from_any_scale_and_offset() -> None:
    bonafide, spoof = calibrated_pair()
    for slope, intercept in ((1.0, 0.0), (0.1, 5.0), (300.0, -1e4)):
        found = fit_calibration((bonafide - intercept) / slope, (spoof - intercept) / slope)
        assert found.slope == pytest.approx(slope, rel=0.05)
        assert found.apply((bonafide - intercept) / slope) == pytest.approx(bonafide, abs=0.4)


def test_the_fit_does_not_depend_on_how_many_trials_each_class_has() -> None:
    bonafide, spoof = calibrated_pair()
    few = fit_calibration(bonafide[:2000], spoof)
    assert (few.slope, few.intercept) == pytest.approx((1.0, 0.0), abs=0.1)


def test_cllr_falls_and_the_order_of_scores_stays() -> None:
    bonafide, spoof = calibrated_pair()
    off = fit_calibration(3 * bonafide + 4, 3 * spoof + 4)
    after = off.apply(3 * bonafide + 4), off.apply(3 * spoof + 4)
    assert cllr(*after) < cllr(3 * bonafide + 4, 3 * spoof + 4)
    assert cllr(*after) == pytest.approx(cllr(bonafide, spoof), abs=0.005)
    assert eer(*after).value == eer(bonafide, spoof).value


@pytest.mark.parametrize("prior", [0.05, 0.5, 0.9])
def test_sklearn_agrees_where_the_softened_targets_do_not_matter(prior: float) -> None:
    bonafide, spoof = calibrated_pair(5000, seed=3)
    scores = np.concatenate((bonafide, spoof))[:, None]
    labels = np.repeat([1, 0], 5000)
    weights = np.repeat([prior, 1 - prior], 5000)
    reference = LogisticRegression(C=np.inf, tol=1e-8).fit(scores, labels, sample_weight=weights)
    ours = fit_calibration(bonafide, spoof, prior)
    offset = np.log(prior / (1 - prior))
    assert ours.slope == pytest.approx(reference.coef_[0, 0], abs=0.02)
    assert ours.intercept + offset == pytest.approx(reference.intercept_[0], abs=0.03)


def test_separable_scores_give_a_finite_map() -> None:
    found = fit_calibration([2.0, 3.0, 4.0], [-2.0, -3.0])
    assert np.isfinite([found.slope, found.intercept]).all()
    assert probability(found.apply([3.0, -2.5])) == pytest.approx([0.8, 0.25], abs=0.1)


def test_inverted_scores_warn_and_become_ratios_near_zero() -> None:
    bonafide, spoof = calibrated_pair(1000)
    with pytest.warns(InvertedLabelsWarning, match="higher scores do not mean more genuine"):
        found = fit_calibration(spoof, bonafide)
    assert found.slope > 0
    assert np.abs(found.apply(bonafide)).max() < 0.01


def test_probabilities_state_their_prior() -> None:
    assert probability([0.0]) == pytest.approx([0.5])
    assert probability([0.0, 1e4, -1e4], prior=0.9) == pytest.approx([0.9, 1.0, 0.0])


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, float("nan")])
def test_impossible_priors_are_refused(prior: float) -> None:
    with pytest.raises(MetricsError, match="between 0 and 1"):
        fit_calibration([1.0, 2.0], [0.0], prior)


def test_equal_scores_cannot_be_calibrated() -> None:
    with pytest.raises(MetricsError, match="all scores are equal"):
        fit_calibration([1.0], [1.0])


@pytest.mark.parametrize("prior", [0.1, 0.5])
def test_a_calibrated_pair_lies_on_the_diagonal_whatever_the_balance(prior: float) -> None:
    bonafide, spoof = calibrated_pair(100_000)
    diagram = reliability_diagram(bonafide[:20_000], spoof, prior=prior)
    assert diagram.predicted == pytest.approx(diagram.observed, abs=0.03)
    assert diagram.expected_calibration_error < 0.01
    assert (diagram.n_bonafide.sum(), diagram.n_spoof.sum()) == (20_000, 100_000)


def test_overconfident_scores_leave_the_diagonal_and_empty_bins_are_marked() -> None:
    bonafide, spoof = calibrated_pair()
    assert reliability_diagram(4 * bonafide, 4 * spoof).expected_calibration_error > 0.05
    diagram = reliability_diagram([100.0], [-100.0], n_bins=4)
    assert np.isnan(diagram.observed).tolist() == [False, True, True, False]


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.5, 0.3), (2.0, -1.0)])
def test_a_refit_tells_slope_and_offset_that_ratios_lack(slope: float, offset: float) -> None:
    bonafide, spoof = calibrated_pair()
    found = refit((bonafide - offset) / slope, (spoof - offset) / slope)
    assert found.slope == pytest.approx(slope, rel=0.04)
    assert found.offset == pytest.approx(offset, abs=0.05)


def test_a_refit_of_inverted_ratios_has_a_negative_slope_and_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    bonafide, spoof = calibrated_pair()
    assert refit(-bonafide, -spoof).slope == pytest.approx(-1.0, rel=0.04)
    assert not recwarn.list


def test_min_cllr_is_that_of_the_best_monotone_map() -> None:
    from sklearn.isotonic import isotonic_regression

    bonafide, spoof = calibrated_pair(300, separation=1.0)
    scores, labels = np.concatenate((bonafide, spoof)), np.repeat([1, 0], 300)
    order = np.argsort(scores)
    share = isotonic_regression(labels[order].astype(float))
    genuine = labels[order] == 1
    expected = -(np.log2(share[genuine]).mean() + np.log2(1 - share[~genuine]).mean()) / 2
    assert min_cllr(bonafide, spoof) == pytest.approx(expected, abs=1e-12)
    # Four times the bona fide trials: the classes still weigh the same.
    assert min_cllr(np.tile(bonafide, 4), spoof) == pytest.approx(expected, abs=1e-12)


def test_min_cllr_depends_on_the_order_of_scores_alone_and_is_the_lowest() -> None:
    bonafide, spoof = calibrated_pair()
    assert min_cllr(bonafide, spoof) < cllr(bonafide, spoof) < min_cllr(bonafide, spoof) + 0.01
    assert min_cllr(5 * bonafide - 3, 5 * spoof - 3) == pytest.approx(min_cllr(bonafide, spoof))
    assert min_cllr([2.0, 3.0], [0.0, 1.0]) == 0
    assert min_cllr([0.0, 1.0], [2.0, 3.0]) == 1


def test_the_checks_of_honest_ratios_say_so() -> None:
    bonafide, spoof = calibrated_pair()
    n = len(bonafide)
    table = score_table([str(i) for i in range(2 * n)], np.concatenate((bonafide, spoof)), np.repeat([1, 0], n))
    found = calibration_checks(table)
    assert found["calibration_slope"] == pytest.approx(1.0, abs=0.04)
    assert found["calibration_offset"] == pytest.approx(0.0, abs=0.04)
    assert found["expected_calibration_error"] < 0.01
    doubled = calibration_checks(table.with_scores(2 * table.scores))
    assert doubled["calibration_slope"] == pytest.approx(found["calibration_slope"] / 2)
    assert doubled["expected_calibration_error"] > 0.03
    assert doubled["min_cllr"] == pytest.approx(found["min_cllr"])
