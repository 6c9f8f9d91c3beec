"""Log magnitudes are smoothed by a Gaussian, and the phase stays near that of the original."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.augmentation.copy_synthesis.short_time import ShortTime, log_magnitudes
from pipeline.augmentation.copy_synthesis.smoothed_magnitude import (
    SmoothedMagnitude,
    SmoothedMagnitudeValues,
    smoothed,
)
from tests.support.speech import RATE, speechlike


@pytest.mark.parametrize(("over_rows", "over_columns"), [(0.0, 1.3), (1.5, 0.0), (0.7, 2.5), (2.0, 4.0)])
def test_smoothing_is_that_of_a_gaussian(over_rows: float, over_columns: float) -> None:
    values = np.random.default_rng(1).normal(size=(9, 17))
    expected = gaussian_filter(values, (over_rows, over_columns), mode="reflect", truncate=3.0)
    np.testing.assert_allclose(smoothed(values, over_rows, over_columns), expected, atol=1e-9)


def test_harmonics_become_flatter_and_the_waveform_stays_near() -> None:
    clip = speechlike()
    values = SmoothedMagnitudeValues(1024, 2.5, 0.5, jitter=0.1, jitter_at_0=1.0, iterations=0, seed=3)
    result = SmoothedMagnitude().apply(clip, values, RATE)

    def roughness(waveform: np.ndarray) -> float:
        levels = log_magnitudes(ShortTime(len(clip), 1024, 256).analyse(waveform))
        return float(np.abs(np.diff(levels, axis=1)).mean())

    assert roughness(result) < roughness(clip)
    assert np.corrcoef(result, clip)[0, 1] > 0.7
