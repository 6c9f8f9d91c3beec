"""What libsndfile does not check in FLAC and WAV files: stated lengths, and headers and audio that are cut.

All functions work on bytes of the file; only `refuse_cut_riff` raises.
"""

from typing import Final

from pipeline.errors import AudioError

HEAD_BYTES: Final = 1 << 16
"""Bytes from the start of a WAV file within which its audio begins."""

# "fLaC", the header of the first metadata block and the STREAMINFO block.
_FLAC_HEADER_BYTES: Final = 42
# Sizes from here on are what encoders write into a WAV header when they stream and cannot know the length.
_RIFF_STREAMED: Final = 0x7FFFF000


def is_flac(head: bytes) -> bool:
    """Whether a file begins as FLAC files do."""
    return head.startswith(b"fLaC")


def has_flac_length(data: bytes) -> bool:
    """Whether a file is FLAC and long enough to state its length."""
    return is_flac(data) and len(data) >= _FLAC_HEADER_BYTES


def flac_length(data: bytes) -> int:
    """Samples that the STREAMINFO block states, 36 bits; 0 for unknown."""
    return (data[21] & 0x0F) << 32 | int.from_bytes(data[22:26], "big")


def without_flac_length(data: bytes) -> bytes:
    """The same FLAC file with its length unknown, so that a decoder reads to the true end of the stream."""
    return data[:21] + bytes([data[21] & 0xF0, 0, 0, 0, 0]) + data[26:]


def is_flac_header_cut(head: bytes) -> bool:
    """Whether `head`, the start of a FLAC file or all of it, ends within the metadata blocks or right behind them."""
    position = 4
    while position + 4 <= len(head):
        is_last = head[position] & 0x80
        position += 4 + int.from_bytes(head[position + 1 : position + 4], "big")
        if is_last:
            return position >= len(head)
    return True


def refuse_cut_riff(head: bytes, size: int) -> None:
    """Refuses a WAV file with fewer bytes than it declares, which libsndfile would read without an error.

    Args:
        head: The first `HEAD_BYTES` of the file, or more; any other format passes.
        size: Of the whole file in bytes.

    Raises:
        AudioError: `truncated`.
    """
    if not head.startswith(b"RIFF"):
        return
    position = 12
    while position + 8 <= len(head):
        declared = int.from_bytes(head[position + 4 : position + 8], "little")
        if head[position : position + 4] == b"data":
            present = size - position - 8
            if present < declared < _RIFF_STREAMED:
                raise AudioError("truncated", f"{present} of {declared} bytes of audio")
            return
        position += 8 + declared + declared % 2
    if position + 8 > size:
        raise AudioError("truncated", "the file ends before its audio begins")
