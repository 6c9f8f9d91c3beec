"""Filters: scipy agrees on the taps and the convolution, and nothing moves in time."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augmentation.filters import (
    HAMMING,
    band_pass,
    change_rate,
    convolve,
    filter_linear_phase,
    low_pass,
    peak_gain,
    telephone_band,
    through_rate,
    windowed_sinc,
)
from tests.support.speech import RATE, speechlike


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100])
def test_low_pass_is_the_windowed_design_of_scipy(sample_rate: int) -> None:
    taps = low_pass(3300.0, 400.0, sample_rate)
    np.testing.assert_allclose(
        taps, scipy.signal.firwin(len(taps), 3300.0, window="blackman", fs=sample_rate), atol=1e-13
    )


def test_low_pass_passes_below_its_cutoff_and_stops_above() -> None:
    frequencies, gains = scipy.signal.freqz(low_pass(5000.0, 400.0, RATE), worN=8192, fs=RATE)
    gains = np.abs(gains)
    assert gains[frequencies < 4800.0].min() > 0.999
    assert gains[np.abs(frequencies - 5000.0).argmin()] == pytest.approx(0.5, abs=0.01)
    assert gains[frequencies > 5200.0].max() < 10.0 ** (-73.0 / 20.0)


@pytest.mark.parametrize("sample_rate", [6000, 8000, 16000, 48000])
def test_telephone_band_passes_300_to_3400_hertz(sample_rate: int) -> None:
    frequencies, gains = scipy.signal.freqz(telephone_band(sample_rate), worN=8192, fs=sample_rate)
    gains = np.abs(gains)
    assert gains[(frequencies > 400.0) & (frequencies < min(3300.0, 0.49 * sample_rate))].min() > 0.99
    assert gains[frequencies < 200.0].max() < 1e-3
    assert gains[frequencies > 3500.0].max(initial=0.0) < 1e-3


def test_band_pass_is_symmetric() -> None:
    taps = band_pass(300.0, 3400.0, 200.0, RATE)
    np.testing.assert_array_equal(taps, taps[::-1])


@given(n_samples=st.integers(1, 12000), n_taps=st.integers(1, 5000), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_convolution_agrees_with_numpy_for_any_length(n_samples: int, n_taps: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    waveform = generator.uniform(-1.0, 1.0, n_samples).astype(np.float32)
    taps = generator.standard_normal(n_taps) / np.sqrt(n_taps)
    delay = n_taps // 2
    expected = scipy.signal.convolve(waveform.astype(np.float64), taps)[delay : delay + n_samples]
    result = convolve(waveform, taps, delay)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=3e-6)


def test_symmetric_filter_leaves_a_pulse_in_its_place() -> None:
    pulse = np.zeros(4000, np.float32)
    pulse[1234] = 1.0
    assert filter_linear_phase(pulse, low_pass(4000.0, 400.0, RATE)).argmax() == 1234


def test_peak_gain_is_the_largest_gain() -> None:
    taps = 3.0 * windowed_sinc(0.2, 40, HAMMING)
    _, gains = scipy.signal.freqz(taps, worN=65536)
    assert peak_gain(taps) == pytest.approx(np.abs(gains).max(), rel=1e-4)


@pytest.mark.parametrize("other_rate", [8000, 22050, 44100])
@pytest.mark.parametrize("n_samples", [1, 2, 37, 16001])
def test_the_way_through_another_rate_keeps_length_and_place(other_rate: int, n_samples: int) -> None:
    waveform = speechlike(n_samples)
    result = through_rate(waveform, RATE, other_rate)
    assert len(result) == n_samples
    if n_samples > 1000:
        low = filter_linear_phase(waveform, low_pass(3000.0, 400.0, RATE))
        kept = filter_linear_phase(result, low_pass(3000.0, 400.0, RATE))
        # At the ends the clip is cut off within its band.
        np.testing.assert_allclose(kept[300:-300], low[300:-300], atol=1e-4)


def test_a_higher_rate_loses_nothing_that_counts_and_the_same_rate_nothing() -> None:
    waveform = filter_linear_phase(speechlike(), low_pass(7000.0, 400.0, RATE))
    np.testing.assert_allclose(through_rate(waveform, RATE, 44100)[300:-300], waveform[300:-300], atol=1e-4)
    assert change_rate(waveform, RATE, RATE) is waveform
