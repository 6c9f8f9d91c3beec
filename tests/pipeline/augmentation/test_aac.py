"""AAC: length, place, level and what it does to the spectrum; how a missing package shows."""

import importlib.util

import numpy as np
import pytest

from pipeline.augmentation.aac import has_aac, through_aac
from tests.support.speech import RATE, speechlike

needs_av = pytest.mark.skipif(not has_aac(), reason="needs the package av")


@needs_av
@pytest.mark.parametrize("sample_rate", [8000, RATE, 22050, 44100, 37800])
def test_aac_keeps_length_place_and_level(sample_rate: int) -> None:
    clip = 0.5 * speechlike(40001)
    result = through_aac(clip, sample_rate)
    assert (len(result), result.dtype) == (len(clip), np.float32)
    n_fft = 1 << 17
    likeness = np.fft.irfft(np.fft.rfft(result, n_fft) * np.conj(np.fft.rfft(clip, n_fft)), n_fft)
    assert int(likeness.argmax()) in (0, 1, n_fft - 1)
    assert 10.0 * np.log10(np.mean(result**2) / np.mean(clip**2)) == pytest.approx(0.0, abs=1.0)
    assert np.abs(result - clip).max() > 1e-3
    np.testing.assert_array_equal(result, through_aac(clip, sample_rate))


@needs_av
@pytest.mark.parametrize("sample_rate", [8000, RATE, 44100])
@pytest.mark.parametrize("n_samples", [1, 7, 161, 1024])
def test_aac_keeps_the_length_of_the_shortest_clips(n_samples: int, sample_rate: int) -> None:
    result = through_aac(speechlike(2048)[:n_samples], sample_rate)
    assert len(result) == n_samples
    assert np.isfinite(result).all()


@needs_av
def test_clip_above_full_scale_is_scaled_down_and_not_cut_off() -> None:
    clip = (3.0 * speechlike() / np.abs(speechlike()).max()).astype(np.float32)
    assert np.corrcoef(through_aac(clip, RATE), clip)[0, 1] > 0.99


@needs_av
def test_aac_ends_with_the_clip() -> None:
    clip = np.zeros(20000, np.float32)
    clip[-5000:] = 0.5 * speechlike(5000)
    result = through_aac(clip, RATE)
    assert np.corrcoef(result[-1000:], clip[-1000:])[0, 1] > 0.9


def test_installed_encoder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not has_aac()
