"""Ogg files: pages whole and in order, so that no lost part goes unnoticed.

Decoders resynchronise behind a damaged or missing page and go on. The checksum, the number and the end mark of pages tell.
RFC 3533 has the layout.
"""

from typing import Any, Final

import numpy as np

from pipeline.audio.compiled import compiled
from pipeline.audio.containers import is_tail
from pipeline.errors import AudioError

_HEADER_BYTES: Final = 27
_LAST_PAGE: Final = 4


def _crc_table() -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Remainders of a byte at the top of 32 bits, with the polynomial of Ogg."""
    table = np.zeros(256, np.uint32)
    for value in range(256):
        remainder = value << 24
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x04C11DB7 if remainder & 0x80000000 else 0)) & 0xFFFFFFFF
        table[value] = remainder
    return table


_CRC_32 = _crc_table()


def is_ogg(data: bytes) -> bool:
    """Whether a file begins as Ogg files do."""
    return data.startswith(b"OggS")


def require_whole_ogg(data: bytes) -> None:
    """Goes through the pages of a whole file.

    Raises:
        AudioError: `truncated`: the file ends within a page, or before the page that is marked as the last; `unreadable`: a
            wrong checksum, a page missing, or bytes between pages.
    """
    position, open_streams = 0, dict[bytes, int]()
    while data.startswith(b"OggS", position):
        n_segments = data[position + 26] if position + _HEADER_BYTES <= len(data) else 0
        body = position + _HEADER_BYTES + n_segments
        end = body + sum(data[body - n_segments : body])
        if position + _HEADER_BYTES > len(data) or end > len(data):
            raise AudioError("truncated", f"the file ends within an Ogg page, at byte {position}")
        page = np.frombuffer(data[position:end], np.uint8)
        stated = int.from_bytes(data[position + 22 : position + 26], "little")
        if _crc_32(page) != stated:
            raise AudioError("unreadable", f"damaged stream: wrong checksum of the Ogg page at byte {position}")
        serial, number = (
            data[position + 14 : position + 18],
            int.from_bytes(data[position + 18 : position + 22], "little"),
        )
        if serial in open_streams and number != open_streams[serial] + 1:
            raise AudioError("unreadable", f"damaged stream: Ogg pages are missing before byte {position}")
        open_streams[serial] = number
        if data[position + 5] & _LAST_PAGE:
            del open_streams[serial]
        position = end
    if not is_tail(data[position:]):
        raise AudioError("unreadable", f"damaged stream: no Ogg page at byte {position} of {len(data)}")
    if open_streams:
        raise AudioError("truncated", "the file ends before the Ogg page that is marked as the last")


@compiled
def _crc_32(page: Any) -> Any:
    """The checksum of a page, in which its own field counts as zeros."""
    crc = np.uint32(0)
    for i in range(len(page)):
        byte = np.uint32(0) if 22 <= i < 26 else np.uint32(page[i])
        crc = np.uint32(crc << np.uint32(8)) ^ _CRC_32[np.uint32(crc >> np.uint32(24)) ^ byte]
    return np.int64(crc)
