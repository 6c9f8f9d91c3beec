import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from model.metrics import MetricsError, abstain_band

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
