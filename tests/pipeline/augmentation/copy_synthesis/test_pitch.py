"""The fundamental frequency is found in voiced speech, and in nothing else."""

import numpy as np
import pytest

from pipeline.augmentation.copy_synthesis.pitch import at_samples, fundamental, hop_samples
from tests.support.speech import RATE, noise, speechlike


@pytest.mark.parametrize("pitch_hz", [80.0, 120.0, 220.0, 330.0])
def test_a_wandering_pitch_is_followed(pitch_hz: float) -> None:
    found = fundamental(speechlike(pitch_hz=pitch_hz), RATE)
    time_s = np.arange(len(found)) * hop_samples(RATE) / RATE
    true = pitch_hz * (1.0 + 0.1 * np.sin(2.0 * np.pi * 0.7 * time_s))
    voiced = found > 0
    assert voiced.mean() > 0.6
    assert np.mean(np.abs(found[voiced] / true[voiced] - 1.0) < 0.03) > 0.95


def test_noise_and_silence_are_unvoiced() -> None:
    assert np.mean(fundamental(noise(2 * RATE), RATE) > 0) < 0.1
    assert not fundamental(np.zeros(RATE, np.float32), RATE).any()


def test_gaps_are_filled_between_voiced_frames() -> None:
    frames = np.array([0.0, 100.0, 0.0, 200.0, 0.0])
    pitch, voiced = at_samples(frames, RATE, 4 * hop_samples(RATE) + 1)
    assert pitch[:: hop_samples(RATE)].tolist() == [100.0, 100.0, 150.0, 200.0, 200.0]
    assert voiced[:: hop_samples(RATE)].tolist() == [False, True, False, True, False]


def test_without_a_voiced_frame_the_pitch_is_120_hz() -> None:
    pitch, voiced = at_samples(np.zeros(3), RATE, 100)
    assert set(pitch) == {120.0}
    assert not voiced.any()
