"""Decoding of audio files to mono waveforms, and reading of their headers.

`decode` reads a file once, compares its checksum with the manifest's, decodes, downmixes and resamples it. The result is
finite, not silent, long enough and within [-1, 1]. Any other file raises `AudioError` with one of
`pipeline.corpus.schema.REJECT_REASONS` and a detail without a path, because details are written to the feature store.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from pipeline.audio import Waveform
from pipeline.audio.containers import (
    HEAD_BYTES,
    flac_length,
    has_flac_length,
    is_flac,
    is_flac_header_cut,
    refuse_cut_riff,
    without_flac_length,
)
from pipeline.audio.files import open_audio, read_audio
from pipeline.audio.flac import SamplesDigest, require_same_header
from pipeline.audio.kernels import mean_of_channels, peak
from pipeline.audio.level import amplitude_db, limit_peak
from pipeline.audio.limits import most_bytes, require_not_longer
from pipeline.errors import AudioError
from pipeline.section import MAX_DURATION_S, ClipParams

_LOWEST_RATE = 1_000
_HIGHEST_RATE = 1_000_000
_UNKNOWN_LENGTH = 1 << 62
_BLOCK_VALUES = 1 << 20


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
        """Clips whose peak stays below this level are refused, in dB relative to full scale."""


@dataclass(frozen=True)
class AudioHeader:
    """What the header of an audio file says.

    Attributes:
        sample_rate: Hz.
        channels: Number of channels.
        n_samples: Samples per channel.
        duration_s: Seconds.
    """

    sample_rate: int
    channels: int
    n_samples: int
    duration_s: float


@dataclass(frozen=True)
class Decoded:
    """A clip that is fit for use.

    Attributes:
        waveform: float32 [samples], in [-1, 1], mono, at the front end's sample rate.
        source_duration_s: Duration of the file's audio in seconds, before resampling.
        sha256: Of the file's bytes, hexadecimal.
    """

    waveform: Waveform
    source_duration_s: float
    sha256: str


def inspect_header(path: Path, max_duration_s: float = MAX_DURATION_S) -> AudioHeader:
    """Reads the header of an audio file.

    A FLAC stream whose header does not state its length is decoded block by block to count the samples, up to the limit.

    Args:
        path: Of the file.
        max_duration_s: Longer clips are refused, in seconds.

    Raises:
        AudioError: `missing`, `unreadable`, `truncated`, `empty`, `too_long` or `unsupported_format`, as for `decode`. Defects
            that only decoding finds are left to `decode`.
    """
    with open_audio(path) as (file, size):
        if size == 0:
            raise AudioError("empty", "the file has no bytes")
        head = file.read(HEAD_BYTES)
        file.seek(0)
        refuse_cut_riff(head, size)
        with _open(file, head) as sound:
            rate, channels, n_samples = sound.samplerate, sound.channels, sound.frames
            if has_flac_length(head):
                require_same_header(head)
            if n_samples >= _UNKNOWN_LENGTH:
                n_samples = sum(map(len, _blocks(sound, 0, max_duration_s, file, size)))
            require_not_longer(n_samples, rate, channels, max_duration_s)
    if n_samples == 0:
        raise AudioError("empty", "the file holds no samples")
    return AudioHeader(rate, channels, n_samples, n_samples / rate)


def decode(path: Path, params: ClipParams, expected_sha256: str | None = None) -> Decoded:
    """Decodes an audio file into a mono waveform at the front end's sample rate.

    Channels are averaged. Other sample rates are resampled with soxr at its very high quality; the result does not depend on
    threads. A clip that leaves [-1, 1], as float files and resampled clips can, is scaled down to a peak of 1.

    Args:
        path: FLAC, WAV or another format that libsndfile decodes.
        params: Sample rate, shortest duration and silence level.
        expected_sha256: Of the file's bytes, in hexadecimal, as in the manifest; None to skip the check.

    Raises:
        AudioError: With reason
            `missing`: no such file, or a symbolic link to nothing;
            `unreadable`: the operating system refuses, the path is no regular file, or the stream is damaged;
            `truncated`: the bytes end before the audio does; damage in the last 8 KiB looks the same;
            `empty`: no bytes or no samples;
            `too_short`: below `params.min_duration_s`;
            `too_long`: above `params.max_duration_s`, or more bytes, or more values of all channels, than 48 kHz stereo has;
            `not_finite`: NaN or infinity among the samples;
            `silent`: no sample of the downmix reaches `params.silence_db`;
            `unsupported_format`: not a format that libsndfile knows (for example text renamed .flac), a codec that it lacks, or
            a sample rate outside 1 kHz to 1 MHz;
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
    samples, rate = _read_samples(data, params.max_duration_s)
    if len(samples) == 0:
        raise AudioError("empty", "the file holds no samples")
    loudest = peak(samples.reshape(-1))
    if not np.isfinite(loudest):
        count = int(np.count_nonzero(~np.isfinite(samples)))
        raise AudioError("not_finite", f"{count} of {samples.size} values are NaN or infinite")
    duration_s = len(samples) / rate
    if duration_s < params.min_duration_s:
        raise AudioError(
            "too_short", f"{len(samples)} samples at {rate} Hz, at least {params.min_duration_s:g} s are needed"
        )
    mono = samples.reshape(-1)
    if samples.shape[1] > 1:
        mono = np.empty(len(samples), np.float32)
        mean_of_channels(samples, mono)
        loudest = peak(mono)
    loudest_db = amplitude_db(loudest)
    if loudest_db < params.silence_db:
        raise AudioError("silent", f"peak {loudest_db:.1f} dB, at least {params.silence_db:g} dB are needed")
    if rate != params.sample_rate:
        mono = soxr.resample(mono, rate, params.sample_rate, quality="VHQ")
        if len(mono) == 0:
            raise AudioError("too_short", f"no sample is left at {params.sample_rate} Hz")
        mono = np.ascontiguousarray(mono, dtype=np.float32)
        loudest = peak(mono)
    return Decoded(limit_peak(mono, loudest), duration_s, sha256)


class _ForwardSoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is only read forwards.

    soundfile seeks after every read of a seekable file. Where a stream ends before its stated length, that seek fails and
    hides the number of samples read.
    """

    def seekable(self) -> bool:
        return False


def _open(file: BinaryIO, head: bytes) -> _ForwardSoundFile:
    try:
        sound = _ForwardSoundFile(file)
    except soundfile.LibsndfileError as error:
        if is_flac(head):
            if is_flac_header_cut(head):
                raise AudioError("truncated", "the file ends within the FLAC header") from None
            raise AudioError("unreadable", f"damaged FLAC header: {error.error_string}") from None
        raise AudioError("unsupported_format", f"not a sound file that can be decoded: {error.error_string}") from None
    if not _LOWEST_RATE <= sound.samplerate <= _HIGHEST_RATE:
        raise AudioError("unsupported_format", f"a sample rate of {sound.samplerate} Hz")
    return sound


def _read_samples(data: bytes, max_duration_s: float) -> tuple[npt.NDArray[np.float32], int]:
    """Decodes all samples, float32 [samples, channels], and the sample rate."""
    if not data:
        raise AudioError("empty", "the file has no bytes")
    refuse_cut_riff(data, len(data))
    states_flac_length = has_flac_length(data)
    file = io.BytesIO(without_flac_length(data) if states_flac_length else data)
    with _open(file, data) as sound:
        stated = flac_length(data) if states_flac_length else int(sound.frames)
        digest = SamplesDigest(require_same_header(data)) if states_flac_length else None
        require_not_longer(stated, sound.samplerate, sound.channels, max_duration_s)
        blocks: list[npt.NDArray[np.float32]] = []
        for block in _blocks(sound, stated, max_duration_s, file, len(data)):
            blocks.append(block)
            if digest is not None:
                digest.update(block)
        n_samples = sum(map(len, blocks))
        if n_samples < stated:
            if n_samples == 0:
                raise AudioError("truncated", f"none of the {stated} samples that the header states")
            raise AudioError("duration_mismatch", f"{n_samples} samples, the header states {stated}")
        if states_flac_length and stated and _has_more(sound):
            raise AudioError("duration_mismatch", f"more samples than the {stated} that the header states")
        if digest is not None:
            digest.require_same()
        rate = int(sound.samplerate)
        channels = int(sound.channels)
    if len(blocks) == 1:
        return blocks[0], rate
    return np.concatenate(blocks) if blocks else np.zeros((0, channels), np.float32), rate


def _blocks(
    sound: _ForwardSoundFile, stated: int, max_duration_s: float, file: BinaryIO, size: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Decodes a file block by block, float32 [samples, channels], and stops at the limit of its duration.

    Args:
        sound: At its start.
        stated: Samples that the header states; 0 for unknown.
        max_duration_s: A longer clip is refused, in seconds.
        file: From which `sound` reads.
        size: Of the file in bytes.
    """
    block_length = max(1, _BLOCK_VALUES // sound.channels)
    n_samples = 0
    try:
        while stated == 0 or n_samples < stated:
            wanted = min(block_length, stated - n_samples) if stated else block_length
            block = sound.read(wanted, dtype="float32", always_2d=True)
            n_samples += len(block)
            require_not_longer(n_samples, sound.samplerate, sound.channels, max_duration_s)
            yield block
            if len(block) < wanted:
                return
    except soundfile.LibsndfileError as error:
        if file.tell() < size:
            raise AudioError("unreadable", f"damaged stream: {error.error_string}") from None
        raise AudioError("truncated", f"the file ends within the audio: {error.error_string}") from None


def _has_more(sound: _ForwardSoundFile) -> bool:
    try:
        return len(sound.read(1, dtype="float32", always_2d=True)) > 0
    except soundfile.LibsndfileError:
        # Bytes after the audio that are no audio: tags of other formats are common there, and harmless.
        return False
