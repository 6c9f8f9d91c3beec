"""Logarithm, exponential, sine and cosine agree with those of numpy."""

import numpy as np

from pipeline.augmentation.copy_synthesis.arithmetic import cosine_sine, cosines, exponentials, logarithms


def test_functions_agree_with_numpy() -> None:
    values = np.concatenate([np.linspace(-30.0, 30.0, 5001), [-699.0, 0.0, 699.0]])
    found = np.empty_like(values)
    exponentials(values, found)
    np.testing.assert_allclose(found, np.exp(values), rtol=1e-11)
    positive = np.exp(values[:-3])
    logarithms(positive, 1e-300, found[:-3])
    np.testing.assert_allclose(found[:-3], np.log(positive), atol=1e-11)
    cosines(values[:-3], found[:-3])
    np.testing.assert_allclose(found[:-3], np.cos(2 * np.pi * values[:-3]), atol=1e-11)
    assert abs(cosine_sine(0.1)[1] - np.sin(0.2 * np.pi)) < 1e-11
