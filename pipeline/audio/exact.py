"""Powers of numbers, the same result on every processor."""

import decimal

_DECIMAL_ARITHMETIC = decimal.Context(prec=28)


def exact_power(base: float, exponent: float) -> float:
    """`base` to the power of `exponent`, rounded from 28 decimal digits.

    The power of floats is computed by the system's library, whose last digit depends on the processor.
    """
    return float(_DECIMAL_ARITHMETIC.power(decimal.Decimal(base), decimal.Decimal(exponent)))
