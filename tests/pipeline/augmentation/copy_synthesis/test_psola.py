"""Overlapped periods have the pitch asked for, and the envelope of the original."""

import numpy as np
import pytest

from pipeline.augmentation.copy_synthesis.pitch import fundamental
from pipeline.augmentation.copy_synthesis.psola import Psola, PsolaValues
from tests.support.speech import RATE, noise, speechlike

CLIP = speechlike()


@pytest.mark.parametrize("semitones", [-4.0, 0.0, 3.0])
def test_the_pitch_moves_by_the_semitones(semitones: float) -> None:
    result = Psola().apply(CLIP, PsolaValues(semitones, 1.0, 1.0), RATE)
    pitch, after = fundamental(CLIP, RATE), fundamental(result.astype(np.float32), RATE)
    both = (pitch > 0) & (after > 0)
    assert np.count_nonzero(both) > 0.6 * np.count_nonzero(pitch)
    assert abs(np.median(after[both] / pitch[both]) / 2 ** (semitones / 12) - 1.0) < 0.02


def test_unvoiced_speech_keeps_its_level() -> None:
    hiss = noise(2 * RATE)
    result = Psola().apply(hiss, PsolaValues(0.0, 1.0, 1.0), RATE)
    assert 0.7 < np.std(result) / np.std(hiss) < 1.3


def test_a_slower_rate_delays_what_is_said() -> None:
    clip = np.zeros(2 * RATE, np.float32)
    clip[RATE : RATE + 800] = speechlike()[8000:8800]
    result = Psola().apply(clip, PsolaValues(0.0, 1.0, 0.92), RATE)
    centre = float((np.arange(len(clip)) * result**2).sum() / (result**2).sum())
    assert abs(centre / RATE - 1.025 / 0.92) < 0.02
