"""AAC, Opus and other audio in the containers of phones and browsers, through FFmpeg (the package `av`, optional).

Only what libsndfile does not read comes here. What an MP4 or WebM file declares of its own size is compared first: FFmpeg reads
a cut file as far as it goes.
"""

import io
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.errors import AudioError

_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"


def is_media(data: bytes) -> bool:
    """Whether a file begins as MP4 (M4A), WebM and Matroska files, or raw AAC (ADTS), do."""
    is_adts = len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0
    return data[4:8] == b"ftyp" or data.startswith(_EBML) or is_adts


class MediaStream:
    """The first audio stream of a file.

    Args:
        data: The file.

    Attributes:
        sample_rate: Hz.
        channels: Number of channels.
        decoder: Its name.
        stated: 0: what such a file states of its length is no number of samples.

    Raises:
        AudioError: `unsupported_format`: `av` is not installed, or the file holds no audio; `unreadable`: damaged;
            `truncated`: it ends before the audio does.
    """

    decoder: Final = "ffmpeg"
    stated: Final = 0

    def __init__(self, data: bytes) -> None:
        try:
            import av
        except ImportError:
            raise AudioError(
                "unsupported_format", "MP4, WebM and AAC need FFmpeg; pip install 'bonafide[media]'"
            ) from None
        _require_whole(data)
        self._errors: Any = av.error.FFmpegError
        try:
            self._container = av.open(
                io.BytesIO(data),
                options={"err_detect": "crccheck+bitstream+buffer+explode"},
                metadata_errors="replace",  # tags are no text that has to be right
            )
        except self._errors as error:
            raise AudioError("unreadable", f"damaged stream: {error.strerror}") from None
        if not self._container.streams.audio:
            raise AudioError("unsupported_format", "the file holds no audio")
        self._stream = self._container.streams.audio[0]
        self.sample_rate = int(self._stream.rate)
        self.channels = int(self._stream.channels)

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Decodes the file; yields float32 [samples, channels] of each frame. Raises `unreadable`."""
        import av

        resampler = av.AudioResampler(format="fltp", layout=self._stream.layout, rate=self.sample_rate)
        with self._container:
            try:
                for frame in self._container.decode(self._stream):
                    for converted in resampler.resample(frame):
                        yield np.ascontiguousarray(converted.to_ndarray().T)
            except self._errors as error:
                raise AudioError("unreadable", f"damaged stream: {error.strerror}") from None


def _require_whole(data: bytes) -> None:
    """Refuses an MP4 or Matroska file whose outermost parts end behind the file."""
    position = 0
    while data[4:8] == b"ftyp" and position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        position = position + size if size >= 8 else len(data)
    if data[4:8] == b"ftyp" and position > len(data):
        raise AudioError("truncated", f"{len(data)} of {position} bytes")
    if data.startswith(_EBML):
        begin = data.find(_SEGMENT) + len(_SEGMENT)
        width = 9 - data[begin].bit_length() if len(_SEGMENT) <= begin < len(data) else 1
        size = int.from_bytes(data[begin : begin + width], "big") & ((1 << 7 * width) - 1)
        is_unknown = size == (1 << 7 * width) - 1
        if not is_unknown and begin + width + size > len(data):
            raise AudioError("truncated", f"{len(data)} of {begin + width + size} bytes")
