"""`features.level_dbfs`: a clip gives the same values however loud it was recorded."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.frontends import FeatureParams, make_front_end
from pipeline.frontends.level import LARGEST_GAIN, level_gain
from tests.support.front_ends import AT_LEVEL, EVERY_KIND, LOG_MEL, require_golden_values, synthetic

at_level = pytest.mark.parametrize("params", AT_LEVEL.values(), ids=AT_LEVEL)
PARAMS = LOG_MEL.model_copy(update={"level_dbfs": -26.0})


def in_db(factor: float) -> float:
    return 20.0 * math.log10(factor)


def tone(amplitude: float, n_samples: int = 16000) -> npt.NDArray[np.float32]:
    return (amplitude * np.sin(2 * np.pi * 250 * np.arange(n_samples) / 16000)).astype(np.float32)


@at_level
@pytest.mark.parametrize("change_db", [-20.0, -10.0, 10.0, 20.0])
def test_a_louder_or_quieter_recording_gives_the_same_values(params: FeatureParams, change_db: float) -> None:
    waveform = 0.05 * np.random.default_rng(5).standard_normal(16000).astype(np.float32)
    front_end = make_front_end(params)
    values = front_end(waveform)
    changed = front_end(waveform * np.float32(10.0 ** (change_db / 20.0)))
    # One step of float16 at values up to 128.
    assert np.abs(changed.astype(np.float16) - values.astype(np.float16)).max() <= 0.0625
    np.testing.assert_allclose(changed, values, atol=2e-3)


@pytest.mark.parametrize("params", EVERY_KIND.values(), ids=EVERY_KIND)
def test_without_a_level_a_clip_stays_as_loud_as_it_is(params: FeatureParams) -> None:
    assert level_gain(tone(0.01), params) == 1.0


def test_the_level_is_the_rms_in_decibels_relative_to_full_scale() -> None:
    # A sine of amplitude 0.1 has an RMS of -23.01 dB.
    assert in_db(level_gain(tone(0.1), PARAMS)) == pytest.approx(-26.0 + 23.01, abs=0.01)


def test_silence_between_and_around_speech_does_not_count() -> None:
    loud = tone(0.1)
    hiss = 1e-4 * np.random.default_rng(0).standard_normal(32000).astype(np.float32)
    padded = np.concatenate([hiss[:16000], loud, hiss[16000:], loud])
    assert in_db(level_gain(padded, PARAMS)) == pytest.approx(in_db(level_gain(loud, PARAMS)), abs=0.01)


def test_a_constant_offset_does_not_count() -> None:
    assert level_gain(tone(0.1) + np.float32(0.5), PARAMS) == pytest.approx(level_gain(tone(0.1), PARAMS), rel=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.5, 1e-6])
@pytest.mark.parametrize("n_samples", [1, 319, 320, 321, 5000])
def test_the_gain_of_a_clip_without_sound_is_limited(value: float, n_samples: int) -> None:
    clip = np.full(n_samples, value, np.float32)
    assert level_gain(clip, PARAMS) == pytest.approx(LARGEST_GAIN)
    assert np.isfinite(make_front_end(PARAMS)(clip)).all()


def test_faint_noise_is_raised_by_sixty_decibels_at_most() -> None:
    assert level_gain(tone(1e-6), PARAMS) == LARGEST_GAIN
    assert level_gain(tone(1e-4), PARAMS) < LARGEST_GAIN


def test_values_of_this_version_are_those_of_the_golden_file() -> None:
    require_golden_values(make_front_end(PARAMS), "log_mel_at_level")


def test_a_part_of_a_clip_changes_the_gain_of_the_whole() -> None:
    waveform = synthetic(16000)
    louder = waveform.copy()
    louder[:4000] = tone(0.9, 4000)
    assert level_gain(louder, PARAMS) < level_gain(waveform, PARAMS)
