"""Bits and checksums of a FLAC stream, for compiled loops. Nothing here checks bounds; see `PADDING`."""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,import-untyped,no-any-return"

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from pipeline.audio.compiled import compiled

PADDING: Final = 128
"""Bytes of zeros that follow the file in its array: damaged streams are read a little beyond their end."""


@intrinsic
def window(typing_context, data, position):
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
def leading_zeros(typing_context, value):
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
def bits(data: Any, position: int, count: int) -> Any:
    """The next 0 to 56 bits, unsigned, as int64."""
    return np.int64((window(data, position) >> np.uint64(1)) >> np.uint64(63 - count))


@compiled
def signed(data: Any, position: int, count: int) -> Any:
    """The next 1 to 56 bits in two's complement, as int64."""
    return np.int64(window(data, position)) >> np.int64(64 - count)


@compiled
def crc_8(data: Any, begin: int, end: int) -> Any:
    """The checksum of the headers of frames."""
    crc: Any = 0
    for i in range(begin, end):
        crc = np.int64(_CRC_8[crc ^ data[i]])
    return crc


@compiled
def crc_16(data: Any, begin: int, end: int) -> Any:
    """The checksum of frames."""
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
