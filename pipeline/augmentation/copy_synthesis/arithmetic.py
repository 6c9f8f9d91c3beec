"""Logarithm, exponential, sine and cosine from + - * / and integers alone, so that they are the same on every processor.

The system's library picks its code by the processor, and numpy does so for whole arrays. Accurate to 1e-11.
"""

from typing import Any

import numpy as np

from pipeline.audio.compiled import compiled


@compiled
def natural_log(value: float) -> Any:
    """The natural logarithm of a positive, finite, normal number.

    It is exponent × ln 2 + 2 artanh(s) with s = (m − 1) / (m + 1) and a mantissa m in [√½, √2).
    """
    bits = np.float64(value).view(np.int64)
    # 0x3FE6A09E667F3BCD are the bits of √½.
    exponent = (bits - 0x3FE6A09E667F3BCD) >> 52
    mantissa = np.int64(bits - (exponent << 52)).view(np.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z = s * s
    series = 1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z * (1 / 15))))))
    return np.float64(exponent) * 0.6931471805599453 + 2.0 * s * (1.0 + z * series)


@compiled
def exponential(value: float) -> Any:
    """E to the power of a number, which is held to [-700, 700].

    It is 2^k × e^r with |r| ≤ ln(2) / 2, and e^r by its Taylor series.
    """
    x: Any = min(max(value, -700.0), 700.0)
    k = np.floor(x * 1.4426950408889634 + 0.5)
    # ln 2 in two parts, of which the first times k is exact.
    r = (x - k * 0.693145751953125) - k * 1.4286068203094172e-06
    series: Any = 1.0
    for n in range(12, 0, -1):
        series = 1.0 + r * series / n
    scale = np.int64((np.int64(k) + 1023) << 52).view(np.float64)
    return series * scale


@compiled
def cosine_sine(turns: float) -> Any:
    """Cosine and sine of an angle in turns: (cos 2π t, sin 2π t)."""
    x = (turns - np.floor(turns + 0.5)) * (np.pi / 2.0)
    # x is a quarter of the angle, at most π / 4.
    q = x * x
    sine = x * (
        1.0 - q * (1 / 6 - q * (1 / 120 - q * (1 / 5040 - q * (1 / 362880 - q * (1 / 39916800 - q / 6227020800)))))
    )
    cosine = 1.0 - q * (
        1 / 2
        - q * (1 / 24 - q * (1 / 720 - q * (1 / 40320 - q * (1 / 3628800 - q * (1 / 479001600 - q / 87178291200)))))
    )
    cosine_2 = 1.0 - 2.0 * sine * sine
    sine_2 = 2.0 * sine * cosine
    return 1.0 - 2.0 * sine_2 * sine_2, 2.0 * sine_2 * cosine_2


@compiled
def logarithms(values: Any, floor: float, out: Any) -> None:
    """Sets `out` to ln(values + floor); flat float64 arrays, `floor` above 0."""
    for i in range(len(out)):
        out[i] = natural_log(values[i] + floor)


@compiled
def exponentials(values: Any, out: Any) -> None:
    """Sets `out` to e^values; flat float64 arrays."""
    for i in range(len(out)):
        out[i] = exponential(values[i])


@compiled
def cosines(turns: Any, out: Any) -> None:
    """Sets `out` to cos 2π turns; flat float64 arrays."""
    for i in range(len(out)):
        out[i] = cosine_sine(turns[i])[0]
