"""FLAC files to samples: the metadata blocks, then the frames, block by block.

libFLAC 1.4 and later refuses a stream with a sample one step above full scale, though all its checksums hold: encoders that were
fed +32768 made many of them. This decoder gives such a sample the value 1, where others let it wrap to -1. Apart from that,
the samples are those of libFLAC. Every frame must follow the one before, with the right number and checksums, and the samples
must have the MD5 of STREAMINFO where the encoder wrote one.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from pipeline.audio import flac_frames
from pipeline.audio.containers import is_tail
from pipeline.audio.flac_bits import PADDING
from pipeline.errors import AudioError

# "fLaC", the header of the first metadata block and the STREAMINFO block.
_HEADER_BYTES: Final = 42
_MOST_HEADER_BYTES: Final = 16
_BLOCK_VALUES: Final = 1 << 20

# Synchronisation code, header, one constant subframe and both checksums.
_SMALLEST_FRAME_BYTES: Final = 10


class FlacStream:
    """A FLAC file.

    Args:
        data: The file, or for the header alone its first 42 bytes or more.
        size: Of the whole file in bytes; None if it is all in the data.

    Attributes:
        sample_rate: Hz.
        channels: 1 to 8.
        depth: Bits per sample, 4 to 32.
        stated: Samples that the header states, 0 where it does not.
        beyond_range: Whether a sample decoded so far is one step above full scale.

    Raises:
        AudioError: `truncated`: the file ends within its first metadata block; `unreadable`: that block is not STREAMINFO;
            `duration_mismatch`: so many samples as the header states do not fit into the bytes.
    """

    def __init__(self, data: bytes, size: int | None = None) -> None:
        if len(data) < _HEADER_BYTES:
            raise AudioError("truncated", "the file ends within the FLAC header")
        if data[4] & 0x7F or int.from_bytes(data[5:8], "big") != _HEADER_BYTES - 8:
            raise AudioError("unreadable", "damaged FLAC header: it does not begin with STREAMINFO")
        fields = int.from_bytes(data[18:26], "big")
        self.sample_rate = fields >> 44
        self.channels = (fields >> 41 & 7) + 1
        self.depth = (fields >> 36 & 31) + 1
        self.stated = fields & ((1 << 36) - 1)
        size = len(data) if size is None else size
        if self.stated > (size // _SMALLEST_FRAME_BYTES + 1) * flac_frames.LONGEST_BLOCK:
            raise AudioError(
                "duration_mismatch", f"the header states {self.stated} samples, which {size} bytes cannot hold"
            )
        self.beyond_range = False
        self._largest_frame = int.from_bytes(data[15:18], "big")
        self._md5 = data[26:_HEADER_BYTES]
        self._data = data

    @property
    def decoder(self) -> str:
        """Which decoder reads the file, one of `pipeline.corpus.schema.DECODERS`; final behind the last block."""
        return "flac_beyond_range" if self.beyond_range else "flac"

    def require_first_frame(self, size: int) -> None:
        """Compares the header with the first frame, which repeats its values, if both are in the data.

        Args:
            size: Of the whole file in bytes.

        Raises:
            AudioError: `unreadable`: they differ; `truncated`: the file ends before the first frame.
        """
        try:
            begin = self._first_frame()
        except AudioError:
            if size > len(self._data):
                return  # a large picture, for example: the frame is further on
            raise
        if begin + _MOST_HEADER_BYTES <= len(self._data):
            self._require_known(self._next_frame(self._padded(), begin), begin)

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Decodes the file.

        Yields:
            float32 [samples, channels], full scale at 1, at most about a million values at a time.

        Raises:
            AudioError: `truncated`: the file ends within the audio; `unreadable`: a checksum or a code is wrong, a frame is
                missing or contradicts the header; `duration_mismatch`: more or fewer samples than the header states.
        """
        size, padded = len(self._data), self._padded()
        state = np.array([self._first_frame(), 0, -1])
        digest, has_digest = hashlib.md5(usedforsecurity=False), any(self._md5)
        longest = max(1, _BLOCK_VALUES // self.channels)
        n_samples, code = 0, flac_frames.FULL
        while code == flac_frames.FULL:
            left = self.stated - n_samples if self.stated else -1
            capacity = (min(left, longest) if self.stated else longest) + flac_frames.LONGEST_BLOCK
            integers = np.empty((self.channels, capacity), np.int32)
            state[1] = 0
            code = flac_frames.decode_frames(padded, size, state, self.sample_rate, self.depth, left, integers)
            integers = integers[:, : state[1]]
            n_samples += state[1]
            block = np.empty((state[1], self.channels), np.float32)
            self._require_range(flac_frames.to_float(integers, self.depth, block))
            if has_digest:
                digest.update(_packed(integers, self.depth))
            yield block
        self._require_end(code, padded, state, n_samples)
        if has_digest and digest.digest() != self._md5:
            raise AudioError(
                "unreadable", "damaged stream: the samples do not have the MD5 that the FLAC header states"
            )

    def _first_frame(self) -> int:
        """Where the first frame begins: behind the last metadata block."""
        position, is_last = 4, 0
        while not is_last:
            if position + 4 > len(self._data):
                raise AudioError("truncated", "the file ends within the FLAC header")
            is_last = self._data[position] & 0x80
            position += 4 + int.from_bytes(self._data[position + 1 : position + 4], "big")
        if position >= len(self._data):
            raise AudioError("truncated", "the file ends within the FLAC header")
        return position

    def _require_range(self, most: int) -> None:
        full_scale = 1 << (self.depth - 1)
        if most > full_scale:
            raise AudioError("unreadable", f"damaged stream: a sample of {most} with {self.depth} bits")
        self.beyond_range |= most == full_scale

    def _require_end(self, code: int, padded: npt.NDArray[np.uint8], state: Any, n_samples: int) -> None:
        """Refuses a stream that did not end as it should."""
        begin, size = int(state[0]), len(self._data)
        if code == flac_frames.NO_FRAME:
            # A tag of another format behind the audio is common, and harmless.
            if not is_tail(self._data[begin:]):
                self._damaged("no frame where the next one should begin", begin)
            if n_samples == 0:
                raise AudioError("truncated", f"none of the {self.stated} samples that the header states")
        elif code == flac_frames.CUT:
            if self._largest_frame and size - begin > self._largest_frame:
                self._damaged("a frame without an end", begin)
            raise AudioError("truncated", f"the file ends within the audio, behind {n_samples} samples")
        elif code == flac_frames.DAMAGED:
            self._damaged("wrong checksum or code", begin)
        elif code == flac_frames.LOST:
            self._damaged("frames are missing", begin)
        self._require_known(code, begin)
        if self.stated and n_samples != self.stated:
            raise AudioError("duration_mismatch", f"{n_samples} samples, the header states {self.stated}")
        if self.stated and self._next_frame(padded, begin) == flac_frames.FULL:
            raise AudioError("duration_mismatch", f"more samples than the {self.stated} that the header states")

    def _require_known(self, code: int, begin: int) -> None:
        if code == flac_frames.MISMATCH:
            raise AudioError(
                "unreadable",
                f"damaged FLAC header: it states {self.sample_rate} Hz, {self.channels} channels, {self.depth} bits, "
                f"and the frame at byte {begin} something else",
            )

    def _next_frame(self, padded: npt.NDArray[np.uint8], begin: int) -> int:
        """`FULL` if a frame of this stream begins at a byte, else another code."""
        state, nothing = np.array([begin, 0, -1]), np.empty((self.channels, 0), np.int32)
        size = len(self._data)
        code = flac_frames.decode_frames(padded, size, state, self.sample_rate, self.depth, -1, nothing)
        return int(code)

    def _padded(self) -> npt.NDArray[np.uint8]:
        padded = np.zeros(len(self._data) + PADDING, np.uint8)
        padded[: len(self._data)] = np.frombuffer(self._data, np.uint8)
        return padded

    def _damaged(self, what: str, begin: int) -> NoReturn:
        raise AudioError("unreadable", f"damaged stream: {what}, at byte {begin} of {len(self._data)}")


def _packed(samples: npt.NDArray[np.int32], depth: int) -> bytes:
    """Samples as the MD5 takes them: interleaved, little-endian, in whole bytes."""
    if depth == 16:
        return samples.T.astype("<i2").tobytes()
    width = (depth + 7) // 8
    bytes_of = np.ascontiguousarray(samples.T, "<i4").view(np.uint8).reshape(-1, 4)
    return bytes_of[:, :width].tobytes()
