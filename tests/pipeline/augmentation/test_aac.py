"""AAC: what is its own among the codecs, and how a missing package shows. The rest is in test_codec.py."""

import importlib.util
import sys

import numpy as np
import pytest

from pipeline.augmentation.aac import has_aac, through_aac
from pipeline.errors import ParamsError
from tests.support.speech import RATE, speechlike

needs_av = pytest.mark.skipif(not has_aac(), reason="needs the package av")


@needs_av
@pytest.mark.parametrize("sample_rate", [22050, 37800])
def test_rates_that_aac_has_and_has_not_keep_length_and_place(sample_rate: int) -> None:
    clip = 0.5 * speechlike(40001)
    result = through_aac(clip, sample_rate)
    assert len(result) == len(clip)
    assert np.corrcoef(result, clip)[0, 1] > 0.98
    np.testing.assert_array_equal(result, through_aac(clip, sample_rate))


@needs_av
@pytest.mark.parametrize("sample_rate", [8000, 44100])
@pytest.mark.parametrize("n_samples", [1, 7, 1024])
def test_clips_shorter_than_a_frame_come_back_as_long(n_samples: int, sample_rate: int) -> None:
    result = through_aac(speechlike(2048)[:n_samples], sample_rate)
    assert len(result) == n_samples
    assert np.isfinite(result).all()


@needs_av
def test_clip_above_full_scale_is_scaled_down_and_not_cut_off() -> None:
    clip = (3.0 * speechlike() / np.abs(speechlike()).max()).astype(np.float32)
    assert np.corrcoef(through_aac(clip, RATE), clip)[0, 1] > 0.99


@needs_av
def test_the_end_of_a_clip_is_kept() -> None:
    clip = np.zeros(20000, np.float32)
    clip[-5000:] = 0.5 * speechlike(5000)
    result = through_aac(clip, RATE)
    assert np.corrcoef(result[-1000:], clip[-1000:])[0, 1] > 0.9


def test_a_missing_encoder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "av", None)
    assert not has_aac()
    with pytest.raises(ParamsError, match=r"AAC needs the package av.*bonafide\[media\]"):
        through_aac(speechlike(2048), RATE)
