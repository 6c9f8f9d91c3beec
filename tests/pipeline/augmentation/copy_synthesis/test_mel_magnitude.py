"""Few mel bands smooth the magnitudes, and the phase stays near that of the original."""

import numpy as np

from pipeline.augmentation.copy_synthesis.mel_magnitude import MelMagnitude, MelMagnitudeValues, through_bands
from tests.support.speech import RATE, speechlike


def test_equal_magnitudes_stay_equal() -> None:
    flat = np.full((3, 257), 0.7)
    np.testing.assert_allclose(through_bands(flat, 40, RATE), flat, rtol=1e-12)


def test_a_high_peak_is_spread_over_its_band_and_a_low_one_is_kept_narrow() -> None:
    spread = []
    for peak in (8, 200):
        magnitude = np.zeros((1, 257))
        magnitude[0, peak] = 1.0
        spread.append(np.count_nonzero(through_bands(magnitude, 40, RATE)))
    assert spread[0] < spread[1] / 3


def test_the_waveform_stays_near_the_original_with_little_jitter() -> None:
    clip = speechlike()

    def correlation(jitter: float) -> float:
        values = MelMagnitudeValues(n_fft=512, n_mels=80, jitter=jitter, jitter_at_0=1.0, iterations=0, seed=3)
        return float(np.corrcoef(MelMagnitude().apply(clip, values, RATE), clip)[0, 1])

    assert correlation(0.1) > 0.8
    assert correlation(0.1) > correlation(1.2)
