"""The frames of a FLAC stream (RFC 9639) to integer samples, in compiled loops.

Integer arithmetic only, so the samples are the same on every processor. Every header is checked against its CRC-8 and against
STREAMINFO, every frame against its CRC-16; reserved codes are errors, as are samples that 32 bits cannot hold.
"""

from typing import Any, Final

import numpy as np

from pipeline.audio import flac_subframes
from pipeline.audio.compiled import compiled
from pipeline.audio.flac_bits import bits, crc_8, crc_16
from pipeline.audio.flac_subframes import subframe

LONGEST_BLOCK: Final = 65_536
"""Samples of a frame, at most."""

DONE, FULL, NO_FRAME, CUT, DAMAGED, MISMATCH, LOST = range(7)
"""How `decode_frames` ended: the wanted samples are decoded; no room for another frame; what follows is no frame; the bytes
end within a frame; a CRC or a code is wrong; a frame contradicts STREAMINFO; frames are missing."""


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
            position = subframe(data, size * 8, position, depth + (1 if is_side else 0), samples)
            if position < 0:
                return CUT if position == flac_subframes.CUT else DAMAGED
        end = (position + 7) // 8
        if end + 2 > size:
            return CUT
        if crc_16(data, begin, end) != bits(data, end * 8, 16):
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
    block_code, rate_code = bits(data, position, 4), bits(data, position + 4, 4)
    assignment, depth_code = bits(data, position + 8, 4), bits(data, position + 12, 3)
    lead = bits(data, position + 16, 8)
    position += 24
    extra = 0
    while extra < 7 and lead & (0x80 >> extra):
        extra += 1
    number = lead & (0x7F >> extra)
    for _ in range(1, extra):
        number = number << 6 | bits(data, position + 2, 6)
        position += 8
    if block_code == 1:
        block = 192
    elif block_code <= 5:
        block = 576 << (block_code - 2)
    elif block_code <= 7:
        width = 8 * (block_code - 5)
        block = bits(data, position, width) + 1
        position += width
    else:
        block = 256 << (block_code - 8)
    rates = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
    if rate_code < 12:
        rate = rates[rate_code]
    elif rate_code == 12:
        rate = bits(data, position, 8) * 1000
        position += 8
    else:
        rate = bits(data, position, 16) * (10 if rate_code == 14 else 1)
        position += 16
    end = position // 8
    if end >= size:
        return CUT
    if crc_8(data, begin, end) != data[end]:
        return DAMAGED
    reserved = bits(data, begin * 8 + 31, 1)
    if block_code == 0 or rate_code == 15 or assignment > 10 or depth_code == 3 or reserved or extra == 1:
        return DAMAGED
    depths = (0, 8, 12, 0, 16, 20, 24, 32)
    out[0], out[1], out[2], out[3], out[4], out[5] = block, rate, assignment, depths[depth_code], number, position + 8
    return DONE


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
