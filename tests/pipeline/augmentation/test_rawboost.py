"""RawBoost: its filters are those of scipy, and each kind of noise does what the paper says."""

import numpy as np
import pytest
import scipy.signal

from pipeline.augmentation.base import Clip
from pipeline.augmentation.params import RawBoostParams
from pipeline.augmentation.rawboost import (
    RawBoost,
    RawBoostValues,
    band_stop,
    convolutive,
    impulsive,
    notch_filter,
    stationary,
)
from tests.support.speech import RATE, Waveform, speechlike


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def ratio_db(signal: Waveform, rest: Waveform) -> float:
    return float(10.0 * np.log10(np.mean(signal.astype(np.float64) ** 2) / np.mean(rest.astype(np.float64) ** 2)))


@pytest.mark.parametrize("n_taps", [11, 51, 101])
def test_band_stop_is_that_of_scipy(n_taps: int) -> None:
    expected = scipy.signal.firwin(n_taps, [700.0, 1500.0], window="hamming", fs=RATE)
    np.testing.assert_allclose(band_stop(700.0 / RATE, 1500.0 / RATE, n_taps), expected, atol=1e-14)


def test_notch_filters_differ_and_never_amplify() -> None:
    draws = [generator(seed) for seed in range(30)]
    filters = [
        notch_filter(RATE, lambda low, high, draw=draw: low + (high - low) * float(draw.random())) for draw in draws
    ]
    assert len({len(taps) for taps in filters}) > 10
    for taps in filters:
        assert len(taps) % 2 == 1
        np.testing.assert_allclose(taps, taps[::-1], atol=1e-12)
        gains = np.abs(scipy.signal.freqz(taps, worN=8192)[1])
        assert gains.max() == pytest.approx(1.0, abs=1e-3)
        assert gains.min() < 0.5


def test_convolutive_noise_adds_harmonics_of_a_tone() -> None:
    tone = (0.8 * np.sin(2.0 * np.pi * 1000.0 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    harmonics = []
    for seed in range(20):
        result = convolutive(tone, RATE, generator(seed))
        assert abs(float(result.mean(dtype=np.float64))) < 1e-6
        assert np.abs(result).max() <= 1.0
        amplitudes = np.abs(np.fft.rfft(result)) / RATE
        harmonics.append(amplitudes[[2000, 4000, 6000]])
    first, second, third = np.mean(harmonics, axis=0)
    assert first > second > 1e-3
    assert third > 1e-3


def test_impulsive_noise_changes_up_to_a_tenth_of_the_samples_by_up_to_twice_their_value() -> None:
    clip = 0.3 * speechlike()
    shares = []
    for seed in range(50):
        change = impulsive(clip, generator(seed)) - clip
        shares.append(np.mean(change != 0.0))
        assert np.all(np.abs(change) <= 2.0 * np.abs(clip) + 1e-6)
    assert max(shares) < 0.11
    assert np.mean(shares) == pytest.approx(0.05, abs=0.015)


def test_stationary_noise_is_as_loud_wherever_the_clip_is_loud_or_quiet() -> None:
    clip = 0.3 * speechlike()
    clip[RATE:] *= 0.01
    for seed in range(20):
        added = stationary(clip, RATE, generator(seed)) - clip
        assert 9.9 < ratio_db(clip, added) < 40.1
        assert ratio_db(added[:RATE], added[RATE:]) == pytest.approx(0.0, abs=1.0)


def test_kinds_run_in_series_and_one_does_not_alter_what_another_draws() -> None:
    clip = speechlike()
    params = RawBoostParams(probability=1.0, kinds=("convolutive",))

    def applied(waveform: Waveform, *kinds: str) -> Waveform:
        result: Waveform = RawBoost(params, RATE).apply(waveform, RawBoostValues(kinds, 5), {})  # type: ignore[arg-type]
        return result

    both = applied(clip, "impulsive", "convolutive")
    np.testing.assert_array_equal(both, applied(applied(clip, "convolutive"), "impulsive"))
    assert len(both) == len(clip)


def test_kinds_and_seed_are_told() -> None:
    params = RawBoostParams(probability=1.0, kinds=("convolutive", "impulsive"))
    drawn = RawBoost(params, RATE).draw(generator(1), Clip("a", ()))
    assert drawn is not None
    assert drawn.to_dict() == {"rawboost": {"kinds": ["convolutive", "impulsive"], "seed": drawn.seed}}
    never = params.model_copy(update={"probability": 0.0})
    assert RawBoost(never, RATE).draw(generator(1), Clip("a", ())) is None
