"""FLAC files made by hand: hours of a constant in a few kilobytes, and changed headers."""

from functools import cache

_BLOCK = 65_535


def constant_flac(
    n_samples: int, stated: int | None = None, channels: int = 1, rate: int = 16_000, value: int = 1000
) -> bytes:
    """A FLAC file of 16-bit samples that all are equal, 16 bytes for each four seconds.

    Args:
        n_samples: Per channel; rounded up to a whole block of 65,535.
        stated: Samples that the header states; None for the true number, 0 for unknown.
        channels: 1 to 8.
        rate: Hz.
        value: Of the samples.
    """
    n_frames = -(-n_samples // _BLOCK)
    fields = rate << 44 | (channels - 1) << 41 | 15 << 36 | (n_frames * _BLOCK if stated is None else stated)
    streaminfo = _BLOCK.to_bytes(2, "big") * 2 + bytes(6) + fields.to_bytes(8, "big") + bytes(16)
    frames = (_frame(number, channels, value) for number in range(n_frames))
    return b"fLaC\x80\x00\x00\x22" + streaminfo + b"".join(frames)


def with_stream_info(
    data: bytes,
    rate: int | None = None,
    channels: int | None = None,
    bits: int | None = None,
    n_samples: int | None = None,
) -> bytes:
    """A FLAC file with another STREAMINFO block before the same audio."""
    fields = int.from_bytes(data[18:26], "big")
    for value, position, width in ((rate, 44, 20), (channels, 41, 3), (bits, 36, 5), (n_samples, 0, 36)):
        if value is not None:
            stored = value - 1 if width in (3, 5) else value
            fields = fields & ~(((1 << width) - 1) << position) | stored << position
    return data[:18] + fields.to_bytes(8, "big") + data[26:]


def with_block(data: bytes, kind: int, content: bytes) -> bytes:
    """A FLAC file with one more metadata block, such as 1 (padding) or 6 (picture), behind STREAMINFO."""
    is_last = data[4] & 0x80
    block = bytes([kind | is_last]) + len(content).to_bytes(3, "big") + content
    return data[:4] + bytes([data[4] & 0x7F]) + data[5:42] + block + data[42:]


def _frame(number: int, channels: int, value: int) -> bytes:
    # Fixed block size, given behind the number; rate from STREAMINFO; 16 bits.
    header = bytes([0xFF, 0xF8, 0x70, (channels - 1) << 4 | 8]) + _coded(number) + (_BLOCK - 1).to_bytes(2, "big")
    header += bytes([_crc(header, 8, 0x07)])
    frame = header + (b"\x00" + value.to_bytes(2, "big", signed=True)) * channels
    return frame + _crc(frame, 16, 0x8005).to_bytes(2, "big")


def _coded(number: int) -> bytes:
    """A number as UTF-8 codes characters, also beyond those of Unicode."""
    if number < 0x80:
        return bytes([number])
    tail: list[int] = []
    while number >= 1 << (6 - len(tail)):
        tail.insert(0, 0x80 | number & 0x3F)
        number >>= 6
    lead = 0xFF << (7 - len(tail)) & 0xFF
    return bytes([lead | number, *tail])


def _crc(data: bytes, width: int, polynomial: int) -> int:
    table = _table(width, polynomial)
    register, mask = 0, (1 << width) - 1
    for byte in data:
        register = (register << 8 & mask) ^ table[register >> (width - 8) ^ byte]
    return register


@cache
def _table(width: int, polynomial: int) -> list[int]:
    table = []
    for byte in range(256):
        register = byte << (width - 8)
        for _ in range(8):
            register = register << 1 ^ (polynomial if register >> (width - 1) & 1 else 0)
            register &= (1 << width) - 1
        table.append(register)
    return table
