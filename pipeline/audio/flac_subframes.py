"""The subframes of a FLAC stream: the samples of one channel in one frame, predicted from those before plus a coded residual."""

from typing import Any, Final

import numpy as np

from pipeline.audio.compiled import compiled
from pipeline.audio.flac_bits import bits, leading_zeros, signed, window

CUT: Final = -1
"""The bytes end within the subframe."""
DAMAGED: Final = -2
"""A code is reserved or wrong, or 32 bits cannot hold a sample."""

_HIGHEST_ORDER: Final = 32
_FAST_ORDER: Final = 12
_LOW_BITS = np.uint64(0x7FFFFFFFFFFFFFFF)


@compiled
def subframe(data: Any, size: int, position: int, depth: int, out: Any) -> Any:
    """Decodes the samples of one channel; gives the bit position behind them, `CUT` or `DAMAGED`."""
    if position + 8 > size:
        return CUT
    kind = bits(data, position, 8)
    position += 8
    wasted = 0
    if kind & 1:
        wasted = 1 + leading_zeros(window(data, position) | np.uint64(1))
        position += wasted
    kind >>= 1
    depth -= wasted
    if kind >= 64 or depth < 1:
        return DAMAGED
    if kind == 0:
        out[:] = signed(data, position, depth)
        position += depth
    elif kind == 1:
        if position + len(out) * depth > size:
            return CUT
        for i in range(len(out)):
            out[i] = signed(data, position, depth)
            position += depth
    elif 8 <= kind <= 12 or kind >= 32:
        position = _predicted(data, size, position, depth, kind, out)
    else:
        return DAMAGED
    if wasted:
        for i in range(len(out)):
            out[i] = out[i] << wasted
    return CUT if position > size else position


@compiled
def _predicted(data: Any, size: int, position: int, depth: int, kind: int, out: Any) -> Any:
    """A subframe with a fixed (`kind` 8 to 12) or a linear predictor (32 to 63): warm-up samples, coefficients, residual."""
    order = kind - 8 if kind <= 12 else kind - 31
    if order > len(out):
        return DAMAGED
    if position + order * depth + 32 > size:
        return CUT
    for i in range(order):
        out[i] = signed(data, position, depth)
        position += depth
    coefficients = np.zeros(_HIGHEST_ORDER, np.int64)
    shift: Any = 0
    if kind <= 12:
        factor: Any = -1
        for i in range(order):
            # Binomial coefficients with alternating signs: the residual is the difference of that order.
            factor = -factor * (order - i) // (i + 1)
            coefficients[i] = factor
    else:
        precision = bits(data, position, 4) + 1
        shift = signed(data, position + 4, 5)
        position += 9
        if precision == 16 or shift < 0:
            return DAMAGED
        for i in range(order):
            coefficients[i] = signed(data, position, precision)
            position += precision
    return _residual(data, size, position, order, coefficients, shift, out)


@compiled
def _residual(data: Any, size: int, position: int, order: int, coefficients: Any, shift: int, out: Any) -> Any:
    """Decodes the residual and adds the prediction, from `out[order]` on; gives the bit position, `CUT` or `DAMAGED`."""
    method, partition_order = bits(data, position, 2), bits(data, position + 2, 4)
    position += 6
    length = len(out) >> partition_order
    if method > 1 or length << partition_order != len(out) or length < order:
        return DAMAGED
    width = 4 + method
    escape = (1 << width) - 1
    nothing = np.zeros_like(coefficients)
    for partition in range(1 << partition_order):
        begin, end = max(order, partition * length), (partition + 1) * length
        parameter = bits(data, position, width)
        position += width
        if parameter != escape and order <= _FAST_ORDER:
            position = _rice(data, size, position, parameter, coefficients, shift, out, begin, end)
        else:
            if parameter != escape:
                position = _rice(data, size, position, parameter, nothing, 0, out, begin, end)
            else:
                position = _raw(data, size, position, out[begin:end])
            if position > 0 and not _restore(coefficients[:order], shift, out, begin, end):
                return DAMAGED
        if position < 0:
            return position
    return position


@compiled
def _rice(
    data: Any, size: int, position: int, parameter: int, coefficients: Any, shift: int, out: Any, begin: int, end: int
) -> Any:
    """Decodes Rice codes and adds the prediction, to `out[begin:end]`; gives the bit position, `CUT` or `DAMAGED`.

    Both in one loop: the processor computes the prediction while it waits for the next code's position. Predictors have
    `_FAST_ORDER` coefficients, the unused ones zero.
    """
    c = _first_12(coefficients)
    h = _latest_12(out, begin)
    beyond: Any = np.int64(0)
    for i in range(begin, end):
        upcoming: Any = window(data, position)
        zeros = leading_zeros(upcoming)
        if zeros + parameter < 57:
            low: Any = ((upcoming << np.uint64(zeros)) & _LOW_BITS) >> np.uint64(63 - parameter)
            position += zeros + 1 + parameter
        else:
            zeros = 0
            while bits(data, position, 1) == 0:
                zeros += 1
                position += 1
                if position > size:
                    return CUT
            low = np.uint64(bits(data, position + 1, parameter))
            position += 1 + parameter
        if position > size:
            return CUT
        code = np.int64(np.uint64(zeros) << np.uint64(parameter) | low)
        older = ((c[11] * h[11] + c[10] * h[10]) + (c[9] * h[9] + c[8] * h[8])) + (c[7] * h[7] + c[6] * h[6])
        newer = ((c[5] * h[5] + c[4] * h[4]) + (c[3] * h[3] + c[2] * h[2])) + c[1] * h[1]
        value = ((code >> 1) ^ -(code & 1)) + ((older + newer + c[0] * h[0]) >> shift)
        beyond |= (value + (1 << 31)) >> 32
        out[i] = value
        h = (value,) + h[:11]  # noqa: RUF005, since numba compiles no starred tuple
    return position if beyond == 0 else DAMAGED


@compiled
def _first_12(values: Any) -> Any:
    return (
        values[0],
        values[1],
        values[2],
        values[3],
        values[4],
        values[5],
        values[6],
        values[7],
        values[8],
        values[9],
        values[10],
        values[11],
    )


@compiled
def _latest_12(samples: Any, end: int) -> Any:
    """The twelve samples before `end`, the latest first; zeros stand for those before the block."""
    latest = np.zeros(12, np.int64)
    for i in range(min(12, end)):
        latest[i] = samples[end - 1 - i]
    return _first_12(latest)


@compiled
def _raw(data: Any, size: int, position: int, out: Any) -> Any:
    """Decodes a partition whose values are stored as they are, each with the same number of bits."""
    depth = bits(data, position, 5)
    position += 5
    if position + len(out) * depth > size:
        return CUT
    for i in range(len(out)):
        out[i] = signed(data, position, depth) if depth else 0
        position += depth
    return position


@compiled
def _restore(coefficients: Any, shift: int, out: Any, begin: int, end: int) -> Any:
    """Adds the prediction of any order to residuals, in place; tells whether all samples fit 32 bits."""
    beyond: Any = np.int64(0)
    for i in range(begin, end):
        prediction: Any = np.int64(0)
        for j in range(len(coefficients)):
            prediction += coefficients[j] * np.int64(out[i - 1 - j])
        value = np.int64(out[i]) + (prediction >> shift)
        beyond |= (value + (1 << 31)) >> 32
        out[i] = value
    return beyond == 0
