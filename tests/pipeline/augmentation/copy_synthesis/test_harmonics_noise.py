"""Harmonics of the pitch below a frequency, noise above."""

import numpy as np

from pipeline.augmentation.copy_synthesis.harmonics_noise import HarmonicsNoise, HarmonicsNoiseValues
from pipeline.augmentation.copy_synthesis.pitch import fundamental
from tests.support.speech import RATE, noise, speechlike


def values(phases: str = "zero", highest_hz: float = 4000.0) -> HarmonicsNoiseValues:
    return HarmonicsNoiseValues(highest_hz=highest_hz, phases=phases, noise=0.0, seed=1)


def test_the_pitch_and_the_level_are_kept() -> None:
    clip = speechlike()
    result = HarmonicsNoise().apply(clip, values(), RATE)
    pitch, after = fundamental(clip, RATE), fundamental(result.astype(np.float32), RATE)
    both = (pitch > 0) & (after > 0)
    assert np.count_nonzero(both) > 0.6 * np.count_nonzero(pitch)
    assert np.median(np.abs(after[both] / pitch[both] - 1.0)) < 0.02
    assert 0.6 < np.std(result) / np.std(clip) < 1.6


def test_unvoiced_speech_becomes_noise_of_its_level() -> None:
    hiss = noise(2 * RATE)
    result = HarmonicsNoise().apply(hiss, values(), RATE)
    assert 0.7 < np.std(result) / np.std(hiss) < 1.3
    assert abs(np.corrcoef(result, hiss)[0, 1]) < 0.1


def test_phases_change_the_waveform_and_not_the_magnitudes_of_harmonics() -> None:
    clip = speechlike()
    results = [HarmonicsNoise().apply(clip, values(phases), RATE) for phases in ("zero", "random", "quadratic")]
    assert abs(np.corrcoef(results[0], results[1])[0, 1]) < 0.9
    levels = [np.std(result) for result in results]
    assert max(levels) < 1.3 * min(levels)
