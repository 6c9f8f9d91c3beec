"""Which decoder reads a file, and what is checked before: a file is read to its true end or refused.

FLAC goes through the decoder of this package, MP4, WebM and AAC through FFmpeg, everything else through libsndfile. A tag in
front is skipped. The length that a header declares is compared with the bytes that are there; an estimate is never believed.
Formats whose length cannot be checked are refused.
"""

import io
from collections.abc import Iterator
from typing import BinaryIO, Final, Protocol

import numpy as np
import numpy.typing as npt
import soundfile

from pipeline.audio.containers import after_tag, checked, is_flac
from pipeline.audio.flac_stream import FlacStream
from pipeline.audio.media import MediaStream, is_media
from pipeline.audio.mpeg import is_mpeg, with_length
from pipeline.audio.ogg import is_ogg, require_whole_ogg
from pipeline.errors import AudioError

_LOWEST_RATE: Final = 1_000
_HIGHEST_RATE: Final = 1_000_000
_BLOCK_VALUES: Final = 1 << 20
# Formats of libsndfile whose length is checked before, by its names of them.
_CHECKED_FORMATS: Final = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "OGG", "MP3", "FLAC"})
_SAMPLE_BYTES: Final = {
    **dict.fromkeys(("PCM_S8", "PCM_U8", "ULAW", "ALAW"), 1),
    "PCM_16": 2,
    "PCM_24": 3,
    "PCM_32": 4,
    "FLOAT": 4,
    "DOUBLE": 8,
}


class Stream(Protocol):
    """An audio file that is being decoded."""

    @property
    def sample_rate(self) -> int:
        """In Hz."""

    @property
    def channels(self) -> int:
        """Number of channels."""

    @property
    def stated(self) -> int:
        """Samples as the header states them; 0 if it does not."""

    @property
    def decoder(self) -> str:
        """Its name, one of `pipeline.corpus.schema.DECODERS`; final behind the last block."""

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Decodes the file; yields float32 [samples, channels]. Raises `AudioError`."""


class SoundFileStream:
    """A file that libsndfile decodes.

    Args:
        file: From the audio's container on; must be whole.

    Raises:
        AudioError: `unsupported_format`: none of the formats whose length is checked.
    """

    decoder: Final = "libsndfile"

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._sound = _ForwardSoundFile(file)
        except soundfile.LibsndfileError as error:
            text = f"not a sound file that can be decoded: {error.error_string}"
            raise AudioError("unsupported_format", text) from None
        if self._sound.format not in _CHECKED_FORMATS:
            text = f"the length of {self._sound.format_info} cannot be checked; convert the file to FLAC or WAV"
            raise AudioError("unsupported_format", text)
        self.format = str(self._sound.format)
        self.sample_rate = int(self._sound.samplerate)
        self.channels = int(self._sound.channels)
        self.stated = int(self._sound.frames)

    def require_bytes(self, n_bytes: int) -> None:
        """Compares the samples that libsndfile is going to read with the bytes of the audio, where samples have a fixed size.

        Raises:
            AudioError: `duration_mismatch`: they differ.
        """
        width = _SAMPLE_BYTES.get(str(self._sound.subtype))
        if width is not None and self.stated * self.channels * width != n_bytes:
            text = f"{n_bytes} bytes of audio, {self.stated} samples of {self.channels} channels have another number"
            raise AudioError("duration_mismatch", text)

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Decodes the file; raises `unreadable`, or `duration_mismatch` for fewer samples than stated."""
        longest = max(1, _BLOCK_VALUES // self.channels)
        n_samples = 0
        with self._sound as sound:
            while n_samples < self.stated:
                wanted = min(longest, self.stated - n_samples)
                try:
                    block = sound.read(wanted, dtype="float32", always_2d=True)
                except soundfile.LibsndfileError as error:
                    raise AudioError("unreadable", f"damaged stream: {error.error_string}") from None
                n_samples += len(block)
                yield block
                if len(block) < wanted:
                    text = f"{n_samples} samples, the header states {self.stated}"
                    raise AudioError("duration_mismatch", text)


def open_stream(data: bytes) -> Stream:
    """Chooses the decoder of a file and checks that it is whole, as far as that is possible before decoding.

    Raises:
        AudioError: `empty`, `truncated`, `unreadable`, `unsupported_format` or `duration_mismatch`.
    """
    if not data:
        raise AudioError("empty", "the file has no bytes")
    begin = after_tag(data)
    if begin:
        if begin >= len(data):
            raise AudioError("truncated", "the file ends within the tag in front of its audio")
        data = data[begin:]
    stream = _stream_of(data)
    if not _LOWEST_RATE <= stream.sample_rate <= _HIGHEST_RATE:
        raise AudioError("unsupported_format", f"a sample rate of {stream.sample_rate} Hz")
    return stream


def _stream_of(data: bytes) -> Stream:
    if is_flac(data):
        return FlacStream(data)
    if is_ogg(data):
        require_whole_ogg(data)
        return SoundFileStream(io.BytesIO(data))
    if is_media(data):
        return MediaStream(data)
    data, n_bytes = checked(data)
    if is_mpeg(data):
        return SoundFileStream(io.BytesIO(with_length(data)))
    stream = SoundFileStream(io.BytesIO(data))
    if stream.format == "MP3":
        # libsndfile searches damaged data for a frame, and estimates the length from the first that it finds.
        raise AudioError("unreadable", "damaged stream: it does not begin with two frames of MPEG audio")
    if n_bytes is not None:
        stream.require_bytes(n_bytes)
    return stream


class _ForwardSoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is only read forwards.

    soundfile seeks after every read of a seekable file. Where a stream ends before its stated length, that seek fails and
    hides the number of samples read.
    """

    def seekable(self) -> bool:
        return False
