import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from model.metrics import MetricsError, abstain_band, band_outcomes, score_table, trial_table

quick = settings(max_examples=50, deadline=None)
scores = npst.arrays(np.float64, st.integers(2, 60), elements=st.integers(-20, 20).map(float))


@given(scores, scores, st.sampled_from([0.0, 0.01, 0.1, 0.3]))
@quick
def test_certain_verdicts_keep_the_stated_error_rate(bonafide: np.ndarray, spoof: np.ndarray, rate: float) -> None:
    assume(len(np.unique(np.concatenate((bonafide, spoof)))) >= 3)
    band = abstain_band(bonafide, spoof, rate)
    assert band.low <= band.high
    assert np.mean(band.verdicts(bonafide) == 0) <= rate
    assert np.mean(band.verdicts(spoof) == 1) <= rate
    assert np.mean(band.verdicts(bonafide) == -1) == pytest.approx(band.bonafide_uncertain)
    assert np.mean(band.verdicts(spoof) == -1) == pytest.approx(band.spoof_uncertain)


def test_a_stricter_rate_widens_the_band() -> None:
    rng = np.random.default_rng(0)
    bonafide, spoof = rng.normal(1, 1, 2000), rng.normal(-1, 1, 2000)
    loose, strict = abstain_band(bonafide, spoof, 0.1), abstain_band(bonafide, spoof, 0.01)
    assert strict.low < loose.low < loose.high < strict.high
    assert strict.bonafide_uncertain > loose.bonafide_uncertain > 0


def test_a_system_better_than_the_rate_needs_no_band() -> None:
    band = abstain_band([2.0, 3.0, 4.0], [-2.0, -3.0], 0.05)
    assert band.low == band.high == 0.0
    assert band.verdicts([-1.0, 0.0, 1.0]).tolist() == [0, 1, 1]


@pytest.mark.parametrize("rate", [-0.1, 0.5, 2.0])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(MetricsError, match=r"at least 0 and below 0\.5"):
        abstain_band([1.0, 2.0], [0.0], rate)


def test_outcomes_count_what_is_uncertain_and_what_is_certain_but_wrong() -> None:
    band = abstain_band([0.0, 1.0, 2.0, 3.0], [-1.0, 0.0, 1.0, 2.0], 0.0)
    assert (band.low, band.high) == (-0.5, 2.5)
    names = [str(number) for number in range(8)]
    table = score_table(names, [3.0, 4.0, 0.0, -2.0, -3.0, -1.0, 5.0, 1.0], [1, 1, 1, 1, 0, 0, 0, 0])

    assert band_outcomes(band, table) == {
        "uncertain": 2 / 8,
        "certain_wrong": 2 / 8,
        "wrong_of_certain": 2 / 6,
        "bonafide_uncertain": 1 / 4,
        "bonafide_wrong": 1 / 4,
        "spoof_uncertain": 1 / 4,
        "spoof_wrong": 1 / 4,
    }


def test_outcomes_of_one_class_are_those_of_that_class() -> None:
    band = abstain_band([0.0, 1.0, 2.0, 3.0], [-1.0, 0.0, 1.0, 2.0], 0.0)
    table = trial_table(["a", "b"], [5.0, 1.0], [0, 0])

    assert band_outcomes(band, table) == {
        "uncertain": 0.5,
        "certain_wrong": 0.5,
        "wrong_of_certain": 1.0,
        "spoof_uncertain": 0.5,
        "spoof_wrong": 0.5,
    }


def test_a_band_that_covers_every_trial_has_no_wrong_verdict() -> None:
    band = abstain_band([-9.0, 9.0, 0.0], [-9.0, 9.0, 0.0], 0.0)
    table = score_table(["a", "b", "c"], [0.0, 1.0, 2.0], [1, 0, 1])
    assert band_outcomes(band, table)["uncertain"] == 1
    assert band_outcomes(band, table)["wrong_of_certain"] == 0
