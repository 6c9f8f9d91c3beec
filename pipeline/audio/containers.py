"""Where the audio of a file lies and how many bytes of it the file declares, for containers whose audio is one run of bytes.

libsndfile believes what a header declares: it reads a cut file as if it were whole, and one whose writer could not know the
length as if it were empty. `checked` refuses the first and corrects the second, for RIFF, RIFX, RF64, W64, AIFF, AU,
CAF and NIST SPHERE.
"""

from dataclasses import dataclass
from typing import Final, Literal

from pipeline.errors import AudioError

HEAD_BYTES: Final = 1 << 16
"""Bytes from the start of a file within which its audio usually begins."""

_W64_RIFF: Final = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_DATA: Final = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
# 32-bit sizes from here on are what encoders write when they stream and cannot know the length.
_STREAMED: Final = 0x7FFFF000
_STREAMED_LONG: Final = ((1 << 63) - 1, (1 << 64) - 1)
_CHUNK_HEAD_BYTES: Final = 8
_MPEG_IN_RIFF: Final = 0x55


@dataclass(frozen=True)
class AudioBytes:
    """The audio of a file.

    Attributes:
        begin: Its first byte.
        declared: Its size as the header states it, in bytes; None where the writer could not know it.
        field: Where that size stands.
        field_bytes: How many bytes it has there.
        order: Of the bytes of that size.
        extra: What the stated size counts beside the audio, in bytes.
        is_mpeg: Whether the audio is an MPEG stream.
    """

    begin: int
    declared: int | None
    field: int
    field_bytes: int
    order: Literal["little", "big"]
    extra: int = 0
    is_mpeg: bool = False


def after_tag(data: bytes) -> int:
    """Where a file begins behind the ID3v2 tags in front of it: 0 without one."""
    begin = 0
    while data[begin : begin + 3] == b"ID3" and begin + 10 <= len(data):
        size = 0
        for byte in data[begin + 6 : begin + 10]:
            size = size << 7 | byte & 0x7F
        begin += 10 + size + (10 if data[begin + 5] & 0x10 else 0)
    return begin


def is_flac(data: bytes) -> bool:
    """Whether a file begins as FLAC files do."""
    return data.startswith(b"fLaC")


def is_tail(rest: bytes, *, whole: bool = False) -> bool:
    """Whether bytes behind the audio are what is common and harmless there: nothing, zeros, a tag, or a chunk.

    Args:
        rest: What follows the audio.
        whole: Where the audio does not state its own end, damaged audio can look like the name of a chunk: then chunks have to
            end with the file.
    """
    if len(rest) < _CHUNK_HEAD_BYTES or not any(rest) or rest.startswith((b"TAG", b"APETAGEX", b"ID3", b"LYRICSBEGIN")):
        return True
    # An odd chunk has a byte of padding behind it.
    return any(_begins_chunk(rest, at) and (not whole or _ends_with_chunk(rest, at)) for at in (0, 1))


def _begins_chunk(rest: bytes, at: int) -> bool:
    """Whether a chunk may begin at a byte: their names have four printable letters."""
    name = rest[at : at + 4]
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


def _ends_with_chunk(rest: bytes, at: int) -> bool:
    """Whether bytes are chunks to their end; sizes are little-endian."""
    while at + _CHUNK_HEAD_BYTES <= len(rest) and _begins_chunk(rest, at):
        size = int.from_bytes(rest[at + 4 : at + _CHUNK_HEAD_BYTES], "little")
        at += _CHUNK_HEAD_BYTES + size + size % 2
    return len(rest) <= at <= len(rest) + 1


def find_audio(head: bytes, size: int) -> AudioBytes | None:
    """Finds the audio of a file.

    Args:
        head: The file, or its start.
        size: Of the whole file in bytes.

    Returns:
        None if the audio begins behind `head`, or the container is none of those that this module knows.

    Raises:
        AudioError: `truncated`: the file ends before its audio begins.
    """
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        audio = _find_chunk(head, size, b"data", "big" if head[:4] == b"RIFX" else "little")
    elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        audio = _find_chunk(head, size, b"SSND", "big")
    elif head[:16] == _W64_RIFF:
        audio = _find_chunk(head, size, _W64_DATA, "little", first=40, field_bytes=8, counted=24, alignment=8)
    elif head[:4] == b"caff":
        audio = _find_chunk(head, size, b"data", "big", first=8, field_bytes=8, alignment=1)
    elif head[:4] in (b".snd", b"dns."):
        order: Literal["little", "big"] = "big" if head[:4] == b".snd" else "little"
        if len(head) < 24:
            raise AudioError("truncated", "the file ends before its audio begins")
        begin, declared = (int.from_bytes(head[at : at + 4], order) for at in (4, 8))
        audio = AudioBytes(begin, None if declared >= _STREAMED else declared, 8, 4, order)
    elif head.startswith(b"NIST_1A\n"):
        audio = _find_sphere(head)
    else:
        return None
    return audio


def checked(data: bytes) -> tuple[bytes, int | None]:
    """Compares the declared size of the audio with the bytes that are there.

    Args:
        data: The whole file, without a tag in front.

    Returns:
        The file as libsndfile reads it to its true end: itself, or where it does not state the size of its audio, a copy that
        does; for MPEG audio in a RIFF file that audio. And how many bytes its audio has; None for MPEG audio, and for a
        container that this module does not know.

    Raises:
        AudioError: `truncated`: fewer bytes than declared; `duration_mismatch`: bytes behind the audio that are no chunk and
            no tag.
    """
    audio = find_audio(data, len(data))
    if audio is None:
        return data, None
    require_whole(audio, len(data))
    present = len(data) - audio.begin
    # A size of 0 is an empty clip only if nothing but chunks follows.
    if audio.declared is None or (audio.declared == 0 and present and not is_tail(data[audio.begin :])):
        if audio.is_mpeg:
            return data[audio.begin :], None
        end = audio.field + audio.field_bytes
        stated = (present + audio.extra).to_bytes(audio.field_bytes, audio.order)
        return data[: audio.field] + stated + data[end:], present
    end = audio.begin + audio.declared
    rest = data[end : end + 4096]
    if not is_tail(rest) or (len(rest) < _CHUNK_HEAD_BYTES and any(rest) and not _begins_chunk(rest, 0)):
        raise AudioError("duration_mismatch", f"the header states {audio.declared} of {present} bytes of audio")
    return (data[audio.begin : end], None) if audio.is_mpeg else (data, audio.declared)


def require_whole(audio: AudioBytes, size: int) -> None:
    """Refuses a file with fewer bytes of audio than it declares; raises `truncated`."""
    present = size - audio.begin
    if present < (audio.declared or 0):
        raise AudioError("truncated", f"{max(0, present)} of {audio.declared or 'some'} bytes of audio")


def _find_sphere(head: bytes) -> AudioBytes | None:
    """The audio of a NIST SPHERE file, whose header is text: a first line, its own size, then `name -type value` lines."""
    text = head[: 1 << 12].decode("ascii", "replace")
    fields = {words[0]: words[2] for words in map(str.split, text.splitlines()) if len(words) == 3}
    try:
        begin = int(text.splitlines()[1])
        channels = int(fields.get("channel_count", "1"))
        declared = int(fields["sample_count"]) * int(fields["sample_n_bytes"]) * channels
        if begin < 0 or declared < 0:
            raise ValueError("a negative size")
    except (IndexError, KeyError, ValueError):
        raise AudioError("truncated", "the file ends within its header, or does not state its length") from None
    return AudioBytes(begin, declared, 0, 0, "little")


def _find_chunk(
    head: bytes,
    size: int,
    wanted: bytes,
    order: Literal["little", "big"],
    first: int = 12,
    field_bytes: int = 4,
    counted: int = 0,
    alignment: int = 2,
) -> AudioBytes | None:
    """Goes from chunk to chunk to that of the audio.

    Args:
        head: As for `find_audio`.
        size: As for `find_audio`.
        wanted: Name of the chunk.
        order: Of the bytes of sizes.
        first: Where the first chunk begins.
        field_bytes: Of a size.
        counted: Bytes of name and size that a size counts, too.
        alignment: Chunks begin at multiples of it, counted from the first.
    """
    name_bytes = len(wanted)
    position, long_field, long_size, is_mpeg = first, 0, None, False
    while position + name_bytes + field_bytes <= len(head):
        name = head[position : position + name_bytes]
        field = position + name_bytes
        begin = field + field_bytes
        stated = int.from_bytes(head[field:begin], order)
        if name == wanted:
            # SSND and the data of CAF begin with fields of their own.
            extra = {b"SSND": 8, b"caff": 4}.get(head[:4] if head[:4] == b"caff" else name, 0)
            is_unknown = stated in _STREAMED_LONG if field_bytes == 8 else stated >= _STREAMED
            declared = None if is_unknown else max(0, stated - counted - extra)
            if long_size is not None and is_unknown:
                declared = None if long_size == 0 or long_size in _STREAMED_LONG else long_size
                return AudioBytes(begin, declared, long_field, 8, "little", is_mpeg=is_mpeg)
            return AudioBytes(begin + extra, declared, field, field_bytes, order, counted + extra, is_mpeg)
        if name == b"ds64" and begin + 16 <= len(head):
            long_field, long_size = begin + 8, int.from_bytes(head[begin + 8 : begin + 16], order)
        if name == b"fmt " and order == "little" and begin + 2 <= len(head):
            is_mpeg = int.from_bytes(head[begin : begin + 2], order) == _MPEG_IN_RIFF
        position = begin + stated - counted
        position += -(position - first) % alignment
    if position + name_bytes + field_bytes > size:
        raise AudioError("truncated", "the file ends before its audio begins")
    return None
