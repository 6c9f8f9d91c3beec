"""Decoding of audio files to mono waveforms, and reading of their headers.

`decode` reads a file once, compares its checksum with the manifest's, decodes, downmixes and resamples it. The result is
finite, not silent, long enough and within [-1, 1]. Any other file raises `AudioError` with one of
`pipeline.corpus.schema.REJECT_REASONS` and a detail without a path, because details are written to the feature store.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import soxr

from pipeline.audio import Waveform
from pipeline.audio.containers import HEAD_BYTES, find_audio, is_flac, require_whole
from pipeline.audio.files import open_audio, read_audio, require_not_larger
from pipeline.audio.flac_stream import FlacStream
from pipeline.audio.kernels import largest_deviation, mean_of_channels, peak
from pipeline.audio.level import amplitude_db, limit_peak
from pipeline.audio.limits import most_bytes, require_not_longer
from pipeline.audio.streams import SoundFileStream, Stream, open_stream
from pipeline.errors import AudioError
from pipeline.section import MAX_DURATION_S, ClipParams


class DecodeParams(Protocol):
    """What decoding uses of the `features` parameters."""

    @property
    def sample_rate(self) -> int:
        """Of the result, Hz."""

    @property
    def min_duration_s(self) -> float:
        """Shorter clips are refused, in seconds."""

    @property
    def max_duration_s(self) -> float:
        """Longer clips are refused, in seconds."""

    @property
    def silence_db(self) -> float:
        """Clips whose peak about the mean stays below this level are refused, in dB relative to full scale."""


@dataclass(frozen=True)
class AudioHeader:
    """What the header of an audio file says.

    Attributes:
        sample_rate: Hz.
        channels: Number of channels.
        n_samples: Samples per channel.
        duration_s: Seconds.
        decoder: Which decoder reads the file, one of `pipeline.corpus.schema.DECODERS`.
    """

    sample_rate: int
    channels: int
    n_samples: int
    duration_s: float
    decoder: str


@dataclass(frozen=True)
class Decoded:
    """A clip that is fit for use.

    Attributes:
        waveform: float32 [samples], in [-1, 1], mono, at the front end's sample rate.
        source_duration_s: Duration of the file's audio in seconds, before resampling.
        sha256: Of the file's bytes, hexadecimal.
        decoder: Which decoder read the file, one of `pipeline.corpus.schema.DECODERS`.
    """

    waveform: Waveform
    source_duration_s: float
    sha256: str
    decoder: str


def inspect_header(path: Path, max_duration_s: float = MAX_DURATION_S) -> AudioHeader:
    """Reads the header of an audio file.

    Where the start of a file does not tell its length, the whole file is read, and decoded if need be, to count the samples.

    Args:
        path: Of the file.
        max_duration_s: Longer clips are refused, in seconds.

    Raises:
        AudioError: `missing`, `unreadable`, `truncated`, `empty`, `too_long`, `unsupported_format` or `duration_mismatch`, as
            for `decode`. Defects that only decoding finds are left to `decode`.
    """
    with open_audio(path) as (file, size):
        return inspect_open_file(file, size, max_duration_s)


def inspect_open_file(file: BinaryIO, size: int, max_duration_s: float = MAX_DURATION_S) -> AudioHeader:
    """Reads the header of an open audio file, as `inspect_header` does.

    Args:
        file: At its start; it can be read and sought.
        size: Of the file in bytes.
        max_duration_s: Longer clips are refused, in seconds.
    """
    head = file.read(HEAD_BYTES)
    audio = find_audio(head, size)
    stream: Stream
    if is_flac(head):
        stream = FlacStream(head, size)
        stream.require_first_frame(size)
    elif audio is not None and audio.declared and not audio.is_mpeg:
        require_whole(audio, size)
        file.seek(0)
        stream = SoundFileStream(file)
    else:
        stream = open_stream(head if len(head) == size else _whole(file, size, max_duration_s))
    rate, channels, n_samples, decoder = stream.sample_rate, stream.channels, stream.stated, stream.decoder
    require_not_longer(n_samples, rate, channels, max_duration_s)
    if n_samples == 0:
        stream = open_stream(_whole(file, size, max_duration_s))
        n_samples = sum(map(len, _blocks(stream, max_duration_s)))
        decoder = stream.decoder
    if n_samples == 0:
        raise AudioError("empty", "the file holds no samples")
    return AudioHeader(rate, channels, n_samples, n_samples / rate, decoder)


def decode(path: Path, params: ClipParams, expected_sha256: str | None = None) -> Decoded:
    """Decodes an audio file into a mono waveform at the front end's sample rate.

    Channels are averaged. Other sample rates are resampled with soxr at its very high quality; the result does not depend on
    threads. A clip that leaves [-1, 1], as float files and resampled clips can, is scaled down to a peak of 1.

    Args:
        path: FLAC, WAV or another format of `pipeline.audio.streams`.
        params: Sample rate, shortest duration and silence level.
        expected_sha256: Of the file's bytes, in hexadecimal, as in the manifest; None to skip the check.

    Raises:
        AudioError: With reason
            `missing`: no such file, or a symbolic link to nothing;
            `unreadable`: the operating system refuses, the path is no regular file, or the stream is damaged;
            `truncated`: the bytes end before the audio does;
            `empty`: no bytes or no samples;
            `too_short`: below `params.min_duration_s`;
            `too_long`: above `params.max_duration_s`, or more bytes, or more values of all channels, than 48 kHz stereo has;
            `not_finite`: NaN or infinity among the samples;
            `silent`: no sample of the downmix is `params.silence_db` away from its mean;
            `unsupported_format`: not audio (for example text renamed .flac), a format whose length cannot be checked, a
            codec that is not installed, or a sample rate outside 1 kHz to 1 MHz;
            `duration_mismatch`: a complete stream with more or fewer samples than its header states;
            `changed`: the bytes are not those that the manifest describes.
    """
    return decode_bytes(read_clip(path, params), params, expected_sha256)


def read_clip(path: Path, params: ClipParams) -> bytes:
    """All bytes of an audio file; a file that is too large for the longest duration is `too_long`, as for `decode`."""
    return read_audio(path, most_bytes(params.max_duration_s))


def decode_bytes(data: bytes, params: ClipParams, expected_sha256: str | None = None) -> Decoded:
    """Decodes the bytes of an audio file, as `decode` does."""
    sha256 = hashlib.sha256(data).hexdigest()
    if expected_sha256 is not None and sha256 != expected_sha256:
        raise AudioError(
            "changed", f"sha256 is {sha256}, the manifest has {expected_sha256}; run `bonafide manifest` again"
        )
    stream = open_stream(data)
    samples, rate = _read_samples(stream, params.max_duration_s), stream.sample_rate
    return Decoded(prepare(samples, rate, params), len(samples) / rate, sha256, stream.decoder)


def prepare(samples: npt.NDArray[np.float32], rate: int, params: DecodeParams) -> Waveform:
    """Checks decoded samples and brings them to mono at the front end's sample rate.

    Args:
        samples: float32 [samples, channels], full scale at 1.
        rate: Their sample rate in Hz.
        params: Sample rate, shortest duration and silence level.

    Raises:
        AudioError: `empty`, `not_finite`, `too_short` or `silent`, as for `decode`.
    """
    if len(samples) == 0:
        raise AudioError("empty", "the file holds no samples")
    loudest = require_finite(samples)
    duration_s = len(samples) / rate
    if duration_s < params.min_duration_s:
        raise AudioError(
            "too_short", f"{len(samples)} samples at {rate} Hz, at least {params.min_duration_s:g} s are needed"
        )
    mono = downmix(samples)
    if samples.shape[1] > 1:
        loudest = peak(mono)
    deviation_db = amplitude_db(largest_deviation(mono))
    if deviation_db < params.silence_db:
        text = f"peak {deviation_db:.1f} dB about the mean, at least {params.silence_db:g} dB are needed"
        raise AudioError("silent", text)
    if rate != params.sample_rate:
        mono = soxr.resample(mono, rate, params.sample_rate, quality="VHQ")
        if len(mono) == 0:
            raise AudioError("too_short", f"no sample is left at {params.sample_rate} Hz")
        mono = np.ascontiguousarray(mono, dtype=np.float32)
        loudest = peak(mono)
    return limit_peak(mono, loudest)


def require_finite(samples: npt.NDArray[np.float32]) -> float:
    """The largest absolute value of some samples; raises `not_finite`."""
    loudest = float(peak(samples.reshape(-1)))
    if not np.isfinite(loudest):
        count = int(np.count_nonzero(~np.isfinite(samples)))
        raise AudioError("not_finite", f"{count} of {samples.size} values are NaN or infinite")
    return loudest


def downmix(samples: npt.NDArray[np.float32]) -> Waveform:
    """The mean of the channels: float32 [samples] of [samples, channels]."""
    if samples.shape[1] == 1:
        return samples.reshape(-1)
    mono = np.empty(len(samples), np.float32)
    mean_of_channels(samples, mono)
    return mono


def _whole(file: BinaryIO, size: int, max_duration_s: float) -> bytes:
    require_not_larger(size, most_bytes(max_duration_s))
    file.seek(0)
    return file.read(size)


def _read_samples(stream: Stream, max_duration_s: float) -> npt.NDArray[np.float32]:
    """Decodes all samples, float32 [samples, channels]."""
    blocks = list(_blocks(stream, max_duration_s))
    if len(blocks) == 1:
        return blocks[0]
    return np.concatenate(blocks) if blocks else np.zeros((0, stream.channels), np.float32)


def _blocks(stream: Stream, max_duration_s: float) -> Iterator[npt.NDArray[np.float32]]:
    """The blocks of a stream; stops at the limit of its duration, stated or decoded."""
    require_not_longer(stream.stated, stream.sample_rate, stream.channels, max_duration_s)
    n_samples = 0
    for block in stream.blocks():
        n_samples += len(block)
        require_not_longer(n_samples, stream.sample_rate, stream.channels, max_duration_s)
        yield block
