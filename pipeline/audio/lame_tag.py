"""The checksums in the tag that LAME and FFmpeg write into the first frame of an MP3 file, behind the Xing header.

MPEG audio has no checksums of its own as a rule: decoders play damaged frames, each in its own way. The tag has two, of itself
and of all other frames. The layout is that of "Mp3 Info Tag rev 1 specifications" (Hydrogenaudio, 2005).
"""

from typing import Any, Final

import numpy as np

from pipeline.audio.compiled import compiled
from pipeline.errors import AudioError

# From the Xing header on, if all its fields are there.
_ENCODER: Final = 120
_LENGTH: Final = 148
_MUSIC_CRC: Final = 152
_TAG_CRC: Final = 154
_END: Final = 156
_FFMPEG_BYTES: Final = 190
_ALL_FIELDS: Final = 0x0F
_WRITERS: Final = (b"LAME", b"Lavf", b"Lavc")
# It changes the loudness of every frame, and leaves a mark behind the audio.
_CHANGED_LATER: Final = b"MP3GAIN"


def require_checksums(data: bytes, xing: int, first_frame: int, end: int) -> None:
    """Compares a file with the checksums of its tag, if it has one.

    Args:
        data: From the first frame on.
        xing: Where that header begins, if there is one.
        first_frame: Where the next frame begins.
        end: Where the last one ends.

    Raises:
        AudioError: `unreadable`: a checksum is wrong. That of the frames counts only where their size is the stated one:
            programs that cut MP3 files leave the tag as it is.
    """
    tag = data[xing : xing + _END]
    if len(tag) < _END:
        return
    has_xing = tag.startswith((b"Xing", b"Info")) and tag[7] & _ALL_FIELDS == _ALL_FIELDS
    if not has_xing:
        if tag.startswith(_WRITERS, _ENCODER):
            raise AudioError("unreadable", "damaged stream: a LAME tag without its Xing header")
        return
    has_stated_size = end == int.from_bytes(tag[_LENGTH:_MUSIC_CRC], "big")
    if not (has_stated_size or tag.startswith(_WRITERS, _ENCODER)):
        return
    stated = int.from_bytes(tag[_TAG_CRC:_END], "big")
    place = xing + _TAG_CRC
    # LAME counts the bytes before the checksum, FFmpeg a fixed number of the frame, in which the checksum is 0.
    of_ffmpeg = (data[:place] + bytes(2) + data[place + 2 : first_frame]).ljust(_FFMPEG_BYTES, b"\0")[:_FFMPEG_BYTES]
    if stated not in (_crc_16(data[:place]), _crc_16(of_ffmpeg)):
        raise AudioError("unreadable", "damaged stream: wrong checksum of the LAME tag")
    of_frames = int.from_bytes(tag[_MUSIC_CRC:_TAG_CRC], "big")
    if has_stated_size and _CHANGED_LATER not in data[end:] and _crc_16(data[first_frame:end]) != of_frames:
        raise AudioError("unreadable", "damaged stream: the frames do not have the checksum that the LAME tag states")


def _crc_table() -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Remainders of a byte, with the reflected polynomial 0x8005."""
    table = np.zeros(256, np.uint16)
    for value in range(256):
        remainder = value
        for _ in range(8):
            remainder = remainder >> 1 ^ (0xA001 if remainder & 1 else 0)
        table[value] = remainder
    return table


_CRC_16 = _crc_table()


def _crc_16(data: bytes) -> int:
    return int(_crc_16_of(np.frombuffer(data, np.uint8)))


@compiled
def _crc_16_of(values: Any) -> Any:
    crc: Any = 0
    for i in range(len(values)):
        crc = np.int64(crc >> 8) ^ np.int64(_CRC_16[(crc ^ values[i]) & 0xFF])
    return crc
