"""Checks of FLAC files that libFLAC leaves to its caller: STREAMINFO against the first frame, and the MD5 of the samples.

libsndfile believes STREAMINFO, which stands once at the start of a file. Where it is damaged, a clip has another speed, number of
channels or level. Every frame states these values again, and an encoder usually writes the MD5 of all samples. Layouts and
codes are those of RFC 9639, sections 8.2 and 9.1.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.errors import AudioError

# "fLaC", the header of the first metadata block and the STREAMINFO block.
_HEADER_BYTES: Final = 42
_RATES: Final = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_BITS: Final = (0, 8, 12, 0, 16, 20, 24, 32)
# Unit in Hz and bytes of a sample rate behind the frame's number, by its code.
_RATES_BEHIND: Final = {12: (1000, 1), 13: (1, 2), 14: (10, 2)}


@dataclass(frozen=True)
class StreamInfo:
    """What the STREAMINFO block states.

    Attributes:
        sample_rate: Hz.
        channels: 1 to 8.
        bits: Per sample, 4 to 32.
        md5: Of all samples; None where the encoder left it out.
    """

    sample_rate: int
    channels: int
    bits: int
    md5: bytes | None


def stream_info(data: bytes) -> StreamInfo:
    """The STREAMINFO block of a FLAC file of at least 42 bytes."""
    fields = int.from_bytes(data[18:26], "big")
    md5 = data[26:_HEADER_BYTES]
    return StreamInfo(fields >> 44, (fields >> 41 & 7) + 1, (fields >> 36 & 31) + 1, md5 if any(md5) else None)


def require_same_header(data: bytes) -> StreamInfo:
    """Compares STREAMINFO with the header of the first frame.

    Args:
        data: A FLAC file of at least 42 bytes. Without a frame header where the first one is expected there is nothing to
            compare, and the decoder tells what is wrong.

    Returns:
        What STREAMINFO states.

    Raises:
        AudioError: `unreadable`; names the value that differs.
    """
    info = stream_info(data)
    frame = data[_first_frame(data) :][:32]
    if len(frame) < 16 or frame[0] != 0xFF or frame[1] & 0xFE != 0xF8:
        return info
    channels = frame[3] >> 4
    found = {
        "Hz": (info.sample_rate, _frame_rate(frame)),
        "channels": (info.channels, channels + 1 if channels < 8 else 2),
        "bits per sample": (info.bits, _BITS[frame[3] >> 1 & 7]),
    }
    for unit, (stated, in_frame) in found.items():
        if in_frame and in_frame != stated:
            raise AudioError("unreadable", f"damaged FLAC header: it states {stated} {unit}, the audio has {in_frame}")
    return info


class SamplesDigest:
    """The MD5 of decoded samples, to compare with that of STREAMINFO.

    Args:
        info: Of the file.
    """

    def __init__(self, info: StreamInfo) -> None:
        # float32 is exact up to 24 bits. Other widths are rare in speech.
        self._info = info if info.md5 is not None and info.bits in (8, 16, 24) else None
        self._digest = hashlib.md5(usedforsecurity=False)

    def update(self, samples: npt.NDArray[np.float32]) -> None:
        """Takes the next samples, float32 [samples, channels], full scale at 1."""
        if self._info is None:
            return
        scaled = samples * np.float32(1 << (self._info.bits - 1))
        if self._info.bits == 24:
            packed = np.ascontiguousarray(scaled, "<f4").astype("<i4").view(np.uint8).reshape(*samples.shape, 4)
            self._digest.update(packed[..., :3].tobytes())
        else:
            self._digest.update(scaled.astype("<i2" if self._info.bits == 16 else "i1").tobytes())

    def require_same(self) -> None:
        """Compares the digest of all samples.

        Raises:
            AudioError: `unreadable`: the samples are others than those that were encoded.
        """
        if self._info is not None and self._digest.digest() != self._info.md5:
            raise AudioError(
                "unreadable", "damaged stream: the samples do not have the MD5 that the FLAC header states"
            )


def _first_frame(data: bytes) -> int:
    """Where the audio begins: behind the last metadata block."""
    position, is_last = 4, 0
    while not is_last and position + 4 <= len(data):
        is_last = data[position] & 0x80
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    return position


def _frame_rate(frame: bytes) -> int:
    """The sample rate that a frame header states, in Hz; 0 where it leaves it to STREAMINFO."""
    code = frame[2] & 15
    if code < len(_RATES):
        return _RATES[code]
    if code not in _RATES_BEHIND:
        return 0
    # Behind the frame's number, which is coded like a character of UTF-8, and behind a block size that has no code.
    first = frame[4]
    number_bytes = 1 if first < 0x80 else 8 - (first ^ 0xFF).bit_length()
    position = 4 + number_bytes + {6: 1, 7: 2}.get(frame[2] >> 4, 0)
    unit, size = _RATES_BEHIND[code]
    return unit * int.from_bytes(frame[position : position + size], "big")
