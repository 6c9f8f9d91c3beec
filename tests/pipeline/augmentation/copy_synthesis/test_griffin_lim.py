"""Griffin-Lim keeps the magnitudes and makes the phase anew."""

import numpy as np

from pipeline.augmentation.copy_synthesis.griffin_lim import GriffinLim, GriffinLimValues
from pipeline.augmentation.copy_synthesis.short_time import ShortTime, magnitudes
from tests.support.speech import RATE, speechlike

CLIP = speechlike()


def resynthesised(iterations: int, momentum: float = 0.99, seed: int = 1) -> np.ndarray:
    values = GriffinLimValues(n_fft=512, overlap=4, iterations=iterations, momentum=momentum, seed=seed)
    return GriffinLim().apply(CLIP, values, RATE)


def distance(waveform: np.ndarray) -> float:
    """Spectral convergence: the difference of the magnitudes over their size."""
    short_time = ShortTime(len(CLIP), 512, 128)
    wanted = magnitudes(short_time.analyse(CLIP))
    return float(np.linalg.norm(magnitudes(short_time.analyse(waveform)) - wanted) / np.linalg.norm(wanted))


def test_magnitudes_are_kept_and_the_waveform_is_another() -> None:
    result = resynthesised(32)
    assert distance(result) < 0.2
    assert abs(np.corrcoef(result, CLIP)[0, 1]) < 0.5


def test_every_iteration_comes_nearer_to_the_magnitudes() -> None:
    distances = [distance(resynthesised(iterations, 0.0)) for iterations in (0, 1, 4, 16)]
    assert distances == sorted(distances, reverse=True)


def test_the_first_phases_come_from_the_seed() -> None:
    assert not np.array_equal(resynthesised(2, seed=1), resynthesised(2, seed=2))
    assert np.array_equal(resynthesised(2, seed=1), resynthesised(2, seed=1))
