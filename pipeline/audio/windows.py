"""Windows for short-time spectra, the same bits on every processor."""

import functools
import math

import numpy as np
import numpy.typing as npt


@functools.cache
def hann(length: int) -> npt.NDArray[np.float64]:
    """The periodic Hann window ½ − ½ cos(2π i / length) = sin²(π i / length), float64 [length], not to be written to.

    The sine is a Taylor series up to the 25th power, whose error on [0, π/2] is below that of the rounding: numpy's own sine
    and cosine depend on the vector units of the processor.
    """
    number = np.arange(length, dtype=np.float64)
    angle: npt.NDArray[np.float64] = math.pi * np.minimum(number, length - number) / length
    square = angle * angle
    series: npt.NDArray[np.float64] = np.ones(length)
    for power in range(24, 0, -2):
        series = 1.0 - series * square / (power * (power + 1))
    sine = series * angle
    window: npt.NDArray[np.float64] = sine * sine
    return window
