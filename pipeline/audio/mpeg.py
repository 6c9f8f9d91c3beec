"""MPEG audio (MP3): its frames counted, so that a decoder reads all of them.

Without a Xing header, libsndfile estimates the length from the first frame's bit rate and stops there. `with_length` counts the
frames and puts a Xing header in front that states their number.
"""

from dataclasses import dataclass
from typing import Final

from pipeline.audio.containers import is_tail
from pipeline.audio.lame_tag import require_checksums
from pipeline.errors import AudioError

# kbit/s by the code of a frame's header, of layer III: MPEG 1, and MPEG 2 and 2.5.
_KBITS: Final = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_RATES: Final = (44_100, 48_000, 32_000)
# Version codes 0, 2 and 3 are MPEG 2.5, 2 and 1; they divide the sample rate.
_RATE_DIVISORS: Final = {0: 4, 2: 2, 3: 1}
_LAYER_3: Final = 1
_HEADER_BYTES: Final = 4
_XING_BYTES: Final = 12


@dataclass(frozen=True)
class _Frame:
    """A frame's header: its size, what all frames of a stream share, and where a Xing header would be."""

    size: int
    sample_rate: int
    version: int
    side_info_end: int


def is_mpeg(data: bytes) -> bool:
    """Whether data begin with two frames of MPEG audio of layer III, or with one that is all there is."""
    frame = _frame(data, 0)
    return frame is not None and (frame.size >= len(data) or _frame(data, frame.size) is not None)


def with_length(data: bytes) -> bytes:
    """The same stream with a Xing header that states the number of its frames, unless it has one.

    Args:
        data: From the first frame on.

    Raises:
        AudioError: `truncated`: the last frame is not whole, or the Xing header states more frames; `unreadable`: what follows
            a frame is neither a frame nor a tag, or a checksum of the tag of the encoder is wrong.
    """
    first = _frame(data, 0)
    assert first is not None, "is_mpeg was asked"
    xing = data[first.side_info_end : first.side_info_end + _XING_BYTES]
    has_xing = xing[:4] in (b"Xing", b"Info")
    position = count = 0
    while (frame := _frame(data, position)) is not None:
        if (frame.version, frame.sample_rate) != (first.version, first.sample_rate):
            raise AudioError("unreadable", f"damaged stream: another kind of frame at byte {position} of {len(data)}")
        if position + frame.size > len(data):
            raise AudioError("truncated", f"the file ends within frame {count + 1}")
        position += frame.size
        count += 1
    if position < len(data) and not is_tail(data[position:], whole=True):
        raise AudioError("unreadable", f"damaged stream: no frame at byte {position} of {len(data)}")
    require_checksums(data, first.side_info_end, first.size, position)
    if has_xing and xing[7] & 1:
        stated = int.from_bytes(xing[8:12], "big")
        # Some encoders count the frame of the header itself.
        if count - 1 < stated and count != stated:
            raise AudioError("truncated", f"{count - 1} of {stated} frames")
        return data
    begin = first.size if has_xing else 0
    return _xing_frame(data, first, count - (1 if has_xing else 0)) + data[begin:]


def _frame(data: bytes, at: int) -> _Frame | None:
    """The frame at a byte; None where none begins there."""
    header = data[at : at + _HEADER_BYTES]
    if len(header) < _HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bit_rate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer != _LAYER_3 or bit_rate in (0, 15) or rate == 3:
        return None
    is_mpeg_1 = version == 3
    sample_rate = _RATES[rate] // _RATE_DIVISORS[version]
    kbits = _KBITS[0 if is_mpeg_1 else 1][bit_rate]
    size = (144 if is_mpeg_1 else 72) * kbits * 1000 // sample_rate + (header[2] >> 1 & 1)
    is_mono = header[3] >> 6 == 3
    side_info = (17 if is_mono else 32) if is_mpeg_1 else (9 if is_mono else 17)
    return _Frame(size, sample_rate, version, at + _HEADER_BYTES + side_info)


def _xing_frame(data: bytes, first: _Frame, count: int) -> bytes:
    """A silent frame like the first one, without a checksum, that states the number of the frames behind it."""
    for bit_rate in range(1, 15):
        header = bytes([data[0], data[1] | 1, bit_rate << 4 | data[2] & 0x0D, data[3]])
        frame = _frame(header, 0)
        if frame is not None and frame.size >= first.side_info_end + _XING_BYTES:
            break
    content = header + bytes(first.side_info_end - _HEADER_BYTES) + b"Xing" + (1).to_bytes(4, "big")
    content += count.to_bytes(4, "big")
    assert frame is not None, "an MPEG frame of 14 bit rates"
    return content + bytes(frame.size - len(content))
