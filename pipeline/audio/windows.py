"""Windows for short-time spectra."""

import functools

import numpy as np
import numpy.typing as npt


@functools.cache
def hann(length: int) -> npt.NDArray[np.float64]:
    """The periodic Hann window ½ − ½ cos(2π i / length), float64 [length], not to be written to."""
    return np.asarray(0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length))
