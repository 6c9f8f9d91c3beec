"""The frames of a FLAC stream (RFC 9639) to integer samples, in compiled loops.

Integer arithmetic only, so the samples are the same on every processor. Every header is checked against its CRC-8 and against
STREAMINFO, every frame against its CRC-16; reserved codes are errors, as are samples that 32 bits cannot hold.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,import-untyped,no-any-return"

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from pipeline.audio.compiled import compiled

PADDING: Final = 128
"""Bytes of zeros that follow the file in its array: damaged streams are read a little beyond their end."""

LONGEST_BLOCK: Final = 65_536
"""Samples of a frame, at most."""

DONE, FULL, NO_FRAME, CUT, DAMAGED, MISMATCH, LOST = range(7)
"""How `decode_frames` ended: the wanted samples are decoded; no room for another frame; what follows is no frame; the bytes
end within a frame; a CRC or a code is wrong; a frame contradicts STREAMINFO; frames are missing."""

_HIGHEST_ORDER: Final = 32
_FAST_ORDER: Final = 12
_LOW_BITS = np.uint64(0x7FFFFFFFFFFFFFFF)


@intrinsic
def _window(typing_context, data, position):
    """64 bits from a bit position on, as uint64; only the first 57 count, since the bytes end there."""

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        long = ir.IntType(64)
        byte = builder.gep(array.data, [builder.lshr(arguments[1], long(3))])
        value = builder.load(builder.bitcast(byte, long.as_pointer()))
        value.align = 1
        return builder.shl(builder.bswap(value), builder.and_(arguments[1], long(7)))

    return types.uint64(data, types.int64), generate


@intrinsic
def _leading_zeros(typing_context, value):
    """The number of zeros before the first one of 64 bits; 64 for 0."""

    def generate(context, builder, signature, arguments):
        return builder.ctlz(arguments[0], ir.IntType(1)(0))

    return types.int64(types.uint64), generate


def _crc_tables(polynomial: int, bits: int, count: int) -> np.ndarray[Any, np.dtype[Any]]:
    """Tables [count, 256]: the remainder of a byte that `count - 1` … 0 bytes of zeros follow."""
    tables = np.zeros((count, 256), np.uint16)
    for value in range(256):
        remainder = value << (bits - 8)
        for number in range(count):
            for _ in range(8):
                remainder = remainder << 1 ^ (polynomial if remainder >> (bits - 1) & 1 else 0)
                remainder &= (1 << bits) - 1
            tables[number, value] = remainder
    return tables


_CRC_8 = _crc_tables(0x07, 8, 1)[0]
_CRC_16 = _crc_tables(0x8005, 16, 8)


@compiled
def _bits(data: Any, position: int, count: int) -> Any:
    """The next 0 to 56 bits, unsigned, as int64."""
    return np.int64((_window(data, position) >> np.uint64(1)) >> np.uint64(63 - count))


@compiled
def _signed(data: Any, position: int, count: int) -> Any:
    """The next 1 to 56 bits in two's complement, as int64."""
    return np.int64(_window(data, position)) >> np.int64(64 - count)


@compiled
def _crc_8(data: Any, begin: int, end: int) -> Any:
    crc: Any = 0
    for i in range(begin, end):
        crc = np.int64(_CRC_8[crc ^ data[i]])
    return crc


@compiled
def _crc_16(data: Any, begin: int, end: int) -> Any:
    crc: Any = np.uint16(0)
    eights = begin + (end - begin) // 8 * 8
    for i in range(begin, eights, 8):
        crc = (
            _CRC_16[7, data[i] ^ (crc >> 8)]
            ^ _CRC_16[6, data[i + 1] ^ (crc & 0xFF)]
            ^ _CRC_16[5, data[i + 2]]
            ^ _CRC_16[4, data[i + 3]]
            ^ _CRC_16[3, data[i + 4]]
            ^ _CRC_16[2, data[i + 5]]
            ^ _CRC_16[1, data[i + 6]]
            ^ _CRC_16[0, data[i + 7]]
        )
    for i in range(eights, end):
        crc = np.uint16((crc << 8) & 0xFFFF) ^ _CRC_16[0, data[i] ^ (crc >> 8)]
    return np.int64(crc)


@compiled
def decode_frames(data: Any, size: int, state: Any, rate: int, depth: int, wanted: int, out: Any) -> Any:
    """Decodes frames until all wanted samples are there, `out` is full, or something is wrong.

    Args:
        data: uint8 [size + PADDING], the file and zeros.
        size: Bytes of the file.
        state: int64 [3], changed: the byte position of the next frame, the samples in `out`, and the number of the next frame
            or sample as its header must state it (-1 before the first frame).
        rate: Hz, as STREAMINFO states it.
        depth: Bits per sample, 4 to 24.
        wanted: Samples in `out` after which to stop; negative to go on to the end.
        out: int32 [channels, samples], receives the samples from `state[1]` on.

    Returns:
        `DONE` or another of the module's codes. The state is that behind the last frame that was decoded whole.
    """
    channels, capacity = out.shape
    header = np.zeros(6, np.int64)
    while wanted < 0 or state[1] < wanted:
        begin = state[0]
        code = _frame_header(data, size, begin, header)
        if code != DONE:
            return code
        block, frame_rate, assignment, frame_depth, number, position = header
        n_channels = assignment + 1 if assignment < 8 else 2
        if (frame_rate not in (0, rate)) or (frame_depth not in (0, depth)) or n_channels != channels:
            return MISMATCH
        variable = data[begin + 1] & 1
        if state[2] >= 0 and number != state[2]:
            return LOST
        if state[1] + block > capacity:
            return FULL
        for channel in range(channels):
            is_side = (assignment in (8, 10) and channel == 1) or (assignment == 9 and channel == 0)
            samples = out[channel, state[1] : state[1] + block]
            position = _subframe(data, size * 8, position, depth + (1 if is_side else 0), samples)
            if position < 0:
                return CUT if position == -CUT else DAMAGED
        end = (position + 7) // 8
        if end + 2 > size:
            return CUT
        if _crc_16(data, begin, end) != _bits(data, end * 8, 16):
            return DAMAGED
        if assignment >= 8:
            _join_channels(out[:, state[1] : state[1] + block], assignment)
        state[0] = end + 2
        state[1] += block
        state[2] = number + (block if variable else 1)
    return DONE


@compiled
def _frame_header(data: Any, size: int, begin: int, out: Any) -> Any:
    """Reads a frame's header: block length, rate, channel assignment, depth (0: that of STREAMINFO), number, end in bits."""
    if begin >= size or data[begin] != 0xFF:
        return NO_FRAME
    if begin + 1 == size:
        return CUT
    if data[begin + 1] & 0xFE != 0xF8:
        return NO_FRAME
    position = begin * 8 + 16
    block_code, rate_code = _bits(data, position, 4), _bits(data, position + 4, 4)
    assignment, depth_code = _bits(data, position + 8, 4), _bits(data, position + 12, 3)
    lead = _bits(data, position + 16, 8)
    position += 24
    extra = 0
    while extra < 7 and lead & (0x80 >> extra):
        extra += 1
    number = lead & (0x7F >> extra)
    for _ in range(1, extra):
        number = number << 6 | _bits(data, position + 2, 6)
        position += 8
    if block_code == 1:
        block = 192
    elif block_code <= 5:
        block = 576 << (block_code - 2)
    elif block_code <= 7:
        width = 8 * (block_code - 5)
        block = _bits(data, position, width) + 1
        position += width
    else:
        block = 256 << (block_code - 8)
    rates = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
    if rate_code < 12:
        rate = rates[rate_code]
    elif rate_code == 12:
        rate = _bits(data, position, 8) * 1000
        position += 8
    else:
        rate = _bits(data, position, 16) * (10 if rate_code == 14 else 1)
        position += 16
    end = position // 8
    if end >= size:
        return CUT
    if _crc_8(data, begin, end) != data[end]:
        return DAMAGED
    reserved = _bits(data, begin * 8 + 31, 1)
    if block_code == 0 or rate_code == 15 or assignment > 10 or depth_code == 3 or reserved or extra == 1:
        return DAMAGED
    depths = (0, 8, 12, 0, 16, 20, 24, 32)
    out[0], out[1], out[2], out[3], out[4], out[5] = block, rate, assignment, depths[depth_code], number, position + 8
    return DONE


@compiled
def _subframe(data: Any, size: int, position: int, depth: int, out: Any) -> Any:
    """Decodes the samples of one channel; gives the bit position behind them, `-CUT` or `-DAMAGED`."""
    if position + 8 > size:
        return -CUT
    kind = _bits(data, position, 8)
    position += 8
    wasted = 0
    if kind & 1:
        wasted = 1 + _leading_zeros(_window(data, position) | np.uint64(1))
        position += wasted
    kind >>= 1
    depth -= wasted
    if kind >= 64 or depth < 1:
        return -DAMAGED
    if kind == 0:
        out[:] = _signed(data, position, depth)
        position += depth
    elif kind == 1:
        if position + len(out) * depth > size:
            return -CUT
        for i in range(len(out)):
            out[i] = _signed(data, position, depth)
            position += depth
    elif 8 <= kind <= 12 or kind >= 32:
        position = _predicted(data, size, position, depth, kind, out)
    else:
        return -DAMAGED
    if wasted:
        for i in range(len(out)):
            out[i] = out[i] << wasted
    return -CUT if position > size else position


@compiled
def _predicted(data: Any, size: int, position: int, depth: int, kind: int, out: Any) -> Any:
    """A subframe with a fixed (`kind` 8 to 12) or a linear predictor (32 to 63): warm-up samples, coefficients, residual."""
    order = kind - 8 if kind <= 12 else kind - 31
    if order > len(out):
        return -DAMAGED
    if position + order * depth + 32 > size:
        return -CUT
    for i in range(order):
        out[i] = _signed(data, position, depth)
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
        precision = _bits(data, position, 4) + 1
        shift = _signed(data, position + 4, 5)
        position += 9
        if precision == 16 or shift < 0:
            return -DAMAGED
        for i in range(order):
            coefficients[i] = _signed(data, position, precision)
            position += precision
    return _residual(data, size, position, order, coefficients, shift, out)


@compiled
def _residual(data: Any, size: int, position: int, order: int, coefficients: Any, shift: int, out: Any) -> Any:
    """Decodes the residual and adds the prediction, from `out[order]` on; gives the bit position, `-CUT` or `-DAMAGED`."""
    method, partition_order = _bits(data, position, 2), _bits(data, position + 2, 4)
    position += 6
    length = len(out) >> partition_order
    if method > 1 or length << partition_order != len(out) or length < order:
        return -DAMAGED
    width = 4 + method
    escape = (1 << width) - 1
    nothing = np.zeros_like(coefficients)
    for partition in range(1 << partition_order):
        begin, end = max(order, partition * length), (partition + 1) * length
        parameter = _bits(data, position, width)
        position += width
        if parameter != escape and order <= _FAST_ORDER:
            position = _rice(data, size, position, parameter, coefficients, shift, out, begin, end)
        else:
            if parameter != escape:
                position = _rice(data, size, position, parameter, nothing, 0, out, begin, end)
            else:
                position = _raw(data, size, position, out[begin:end])
            if position > 0 and not _restore(coefficients[:order], shift, out, begin, end):
                return -DAMAGED
        if position < 0:
            return position
    return position


@compiled
def _rice(
    data: Any, size: int, position: int, parameter: int, coefficients: Any, shift: int, out: Any, begin: int, end: int
) -> Any:
    """Decodes Rice codes and adds the prediction, to `out[begin:end]`; gives the bit position, `-CUT` or `-DAMAGED`.

    Both in one loop: the processor computes the prediction while it waits for the next code's position. Predictors have
    `_FAST_ORDER` coefficients, the unused ones zero.
    """
    c = _first_12(coefficients)
    h = _latest_12(out, begin)
    beyond: Any = np.int64(0)
    for i in range(begin, end):
        window: Any = _window(data, position)
        zeros = _leading_zeros(window)
        if zeros + parameter < 57:
            low: Any = ((window << np.uint64(zeros)) & _LOW_BITS) >> np.uint64(63 - parameter)
            position += zeros + 1 + parameter
        else:
            zeros = 0
            while _bits(data, position, 1) == 0:
                zeros += 1
                position += 1
                if position > size:
                    return -CUT
            low = np.uint64(_bits(data, position + 1, parameter))
            position += 1 + parameter
        if position > size:
            return -CUT
        code = np.int64(np.uint64(zeros) << np.uint64(parameter) | low)
        older = ((c[11] * h[11] + c[10] * h[10]) + (c[9] * h[9] + c[8] * h[8])) + (c[7] * h[7] + c[6] * h[6])
        newer = ((c[5] * h[5] + c[4] * h[4]) + (c[3] * h[3] + c[2] * h[2])) + c[1] * h[1]
        value = ((code >> 1) ^ -(code & 1)) + ((older + newer + c[0] * h[0]) >> shift)
        beyond |= (value + (1 << 31)) >> 32
        out[i] = value
        h = (value,) + h[:11]  # noqa: RUF005, since numba compiles no starred tuple
    return position if beyond == 0 else -DAMAGED


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
    depth = _bits(data, position, 5)
    position += 5
    if position + len(out) * depth > size:
        return -CUT
    for i in range(len(out)):
        out[i] = _signed(data, position, depth) if depth else 0
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


@compiled
def _join_channels(samples: Any, assignment: int) -> None:
    """Turns a channel and the difference of both, or their mean and difference, into left and right."""
    first, second = samples[0], samples[1]
    for i in range(len(first)):
        a, b = np.int64(first[i]), np.int64(second[i])
        if assignment == 8:
            second[i] = a - b
        elif assignment == 9:
            first[i] = a + b
        else:
            total = (a << 1) | (b & 1)
            first[i], second[i] = (total + b) >> 1, (total - b) >> 1


@compiled
def to_float(samples: Any, depth: int, out: Any) -> Any:
    """Integer samples [channels, samples] of a bit depth of up to 24 to float32 [samples, channels], full scale at 1.

    Returns:
        The largest value or distance below -1, in steps of the bit depth: 2^(depth - 1) - 1 or less for samples in range.
    """
    scale = np.float32(1.0 / (1 << (depth - 1)))
    most = np.int32(0)
    for channel in range(len(samples)):
        values = samples[channel]
        for i in range(len(values)):
            value = values[i]
            # -1 has one step more than the highest value, so ~value is the step that mirrors it.
            most = max(most, value ^ (value >> np.int32(31)))
            out[i, channel] = np.float32(value) * scale
    return most
