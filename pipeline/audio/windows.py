"""Windows for short-time spectra, sines and cosines, the same bits on every processor."""

import functools
import math

import numpy as np
import numpy.typing as npt


@functools.cache
def hann(length: int) -> npt.NDArray[np.float64]:
    """The periodic Hann window ½ − ½ cos(2π i / length) = sin²(π i / length), float64 [length], not to be written to."""
    number = np.arange(length, dtype=np.float64)
    angle: npt.NDArray[np.float64] = math.pi * np.minimum(number, length - number) / length
    sine = _sine(angle)
    window: npt.NDArray[np.float64] = sine * sine
    return window


def cosines(turns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The cosine of 2πt for float64 values t of any shape, within 1e-15 of that of the rounded t."""
    half = _sine(math.pi * np.abs(turns - np.rint(turns)))
    return 1.0 - 2.0 * half * half


def sines(turns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The sine of 2πt for float64 values t of any shape, within 1e-15 of that of the rounded t."""
    return cosines(turns - np.rint(turns) - 0.25)


def _sine(angle: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The sine of angles in [0, π/2].

    It is a Taylor series up to the 25th power, whose error is below that of the rounding: numpy's own sine and cosine depend on
    the vector units of the processor.
    """
    square = angle * angle
    series: npt.NDArray[np.float64] = np.ones_like(angle)
    for power in range(24, 0, -2):
        series = 1.0 - series * square / (power * (power + 1))
    return series * angle
