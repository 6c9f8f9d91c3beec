"""A twin has the band, the level and the 16-bit rounding of its original."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augmentation.copy_synthesis.matching import matched
from tests.support.speech import RATE, Waveform, noise, speechlike


def level_db(waveform: np.ndarray) -> float:
    return float(10.0 * np.log10(np.mean(np.square(np.asarray(waveform, float)))))


def telephone(waveform: Waveform) -> Waveform:
    """The waveform between 300 and 3400 Hz, in 16 bits."""
    spectrum = np.fft.rfft(waveform)
    hz = np.arange(len(spectrum)) * RATE / len(waveform)
    spectrum[(hz < 300.0) | (hz > 3400.0)] = 0.0
    return (np.round(np.fft.irfft(spectrum, len(waveform)) * 32768.0) / 32768.0).astype(np.float32)


def test_nothing_is_louder_outside_the_band_of_the_original() -> None:
    original = telephone(speechlike())
    result = matched(noise(len(original)).astype(float), original, RATE, seed=1)
    hz = np.arange(len(result) // 2 + 1) * RATE / len(result)
    powers = [np.abs(np.fft.rfft(waveform)) ** 2 for waveform in (original, result)]
    for low, high in ((0.0, 200.0), (3600.0, 8000.0)):
        inside = (hz >= low) & (hz < high)
        before, after = (10 * np.log10(power[inside].mean()) for power in powers)
        # Rounding with dither has twice the power of rounding alone.
        assert after < before + 3.5


def test_the_band_itself_is_left_as_it_was_resynthesised() -> None:
    original = speechlike()
    result = matched(0.5 * original[::-1].astype(float), original, RATE, seed=1)
    np.testing.assert_allclose(result, original[::-1], atol=2.0 / 32768.0)


@given(gain_db=st.floats(-40.0, 30.0), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_level_is_that_of_the_original_whatever_it_was(gain_db: float, seed: int) -> None:
    original = speechlike(RATE)
    result = matched(10 ** (gain_db / 20) * noise(RATE).astype(float), original, RATE, seed)
    assert abs(level_db(result) - level_db(original)) < 0.1


def test_values_are_those_of_16_bits_and_the_dither_follows_the_seed() -> None:
    original = speechlike(RATE)
    results = [matched(noise(RATE).astype(float), original, RATE, seed) for seed in (1, 1, 2)]
    assert np.array_equal(results[0] * 32768.0, np.round(results[0] * 32768.0))
    assert np.array_equal(results[0], results[1])
    difference = (results[0] - results[2]) * 32768.0
    assert 0.3 < np.std(difference) < 0.9
    assert np.abs(difference).max() == 1.0


@pytest.mark.parametrize("n_samples", [800, 801, 1600])
def test_a_silent_resynthesis_gives_no_nan(n_samples: int) -> None:
    result = matched(np.zeros(n_samples), speechlike(n_samples), RATE, seed=1)
    assert np.isfinite(result).all()
