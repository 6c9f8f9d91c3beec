"""Measures: silence, level and band edge are those of the waveform."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.measures import measure
from tests.support.speech import RATE, noise


def test_silence_at_both_ends_is_measured() -> None:
    quiet = 1e-4 * noise(RATE, 1.0, seed=5)
    clip = np.concatenate([quiet[:8000], noise(), quiet[:4800]])
    measures = measure(clip, RATE)
    assert measures.leading_silence_s == pytest.approx(0.5, abs=0.025)
    assert measures.trailing_silence_s == pytest.approx(0.3, abs=0.025)


def test_clip_without_silence_and_clip_of_silence() -> None:
    sounding = measure(noise(), RATE)
    assert (sounding.leading_silence_s, sounding.trailing_silence_s) == (0.0, 0.0)
    silent = measure(np.zeros(RATE, np.float32), RATE)
    assert (silent.leading_silence_s, silent.trailing_silence_s) == (1.0, 1.0)
    assert (silent.level_db, silent.peak_db) == (-200.0, -200.0)


def test_level_and_peak_are_relative_to_full_scale() -> None:
    tone = (0.5 * np.sin(2.0 * np.pi * 440.0 * np.arange(RATE) / RATE)).astype(np.float32)
    measures = measure(tone, RATE)
    assert measures.level_db == pytest.approx(-9.03, abs=0.01)
    assert measures.peak_db == pytest.approx(-6.02, abs=0.01)


@pytest.mark.parametrize("edge_hz", [1000.0, 3400.0, 6500.0])
def test_band_edge_follows_a_low_pass(edge_hz: float) -> None:
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(4 * RATE))
    spectrum[int(edge_hz * 4) :] = 0.0
    clip = (0.1 * np.fft.irfft(spectrum) + 0.2).astype(np.float32)  # with an offset, which must not count
    assert measure(clip, RATE).band_edge_hz == pytest.approx(edge_hz, abs=1.5 * 31.25)


@given(n_samples=st.integers(1, 4000), rate=st.sampled_from([4000, 11025, 16000, 48000]), zeros=st.integers(0, 4000))
@settings(max_examples=60, deadline=None)
def test_measures_are_within_the_clip(n_samples: int, rate: int, zeros: int) -> None:
    clip = np.concatenate([noise(n_samples), np.zeros(zeros, np.float32)])
    measures = measure(clip, rate)
    duration_s = len(clip) / rate
    assert 0.0 <= measures.leading_silence_s <= duration_s
    assert 0.0 <= measures.trailing_silence_s <= duration_s
    assert measures.level_db <= measures.peak_db <= 0.0
    assert 0.0 < measures.band_edge_hz <= rate / 2


@pytest.mark.parametrize("offset", [0.003, 0.004, -0.1])
def test_an_offset_hides_no_silence_and_is_no_level(offset: float) -> None:
    clip = np.concatenate([1e-4 * noise(RATE // 2), noise(), 1e-4 * noise(RATE // 2, seed=3)]).astype(np.float32)
    plain, shifted = measure(clip, RATE), measure(clip + np.float32(offset), RATE)
    assert (shifted.leading_silence_s, shifted.trailing_silence_s) == (
        plain.leading_silence_s,
        plain.trailing_silence_s,
    )
    assert plain.leading_silence_s == pytest.approx(0.48, abs=0.02)
    assert shifted.level_db == pytest.approx(plain.level_db, abs=1e-4)
    constant = measure(np.full(RATE, offset, np.float32), RATE)
    assert (constant.leading_silence_s, constant.level_db) == (1.0, -200.0)
