"""Audio files to clean mono waveforms, or to the reason why not.

`decode` reads a file once, checks it against the manifest's checksum, decodes, downmixes and resamples it. Whatever comes
back is finite, not silent, long enough and within [-1, 1]; everything else raises `AudioError` with one of
`pipeline.corpus.schema.REJECT_REASONS` and a detail that holds no path, since details end up in the feature store.
"""

import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from pipeline.audio import Waveform
from pipeline.audio.measures import _decibels
from pipeline.errors import AudioError
from pipeline.section import ClipParams

_LOWEST_RATE = 1_000
_HIGHEST_RATE = 1_000_000
_UNKNOWN_LENGTH = 1 << 62
_BLOCK_VALUES = 1 << 22
# Sizes from here on are what encoders write into a WAV header when they stream and cannot know better.
_RIFF_STREAMED = 0x7FFFF000
_RIFF_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Probe:
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


def probe(path: Path) -> Probe:
    """Reads the header of an audio file.

    A FLAC stream whose header does not state its length is decoded to count the samples.

    Raises:
        AudioError: `missing`, `unreadable`, `truncated`, `empty` or `unsupported_format`, as for `decode`. What only decoding
            can find is left to `decode`.
    """
    size = _size_of_regular_file(path)
    if size == 0:
        raise AudioError("empty", "the file has no bytes")
    try:
        with path.open("rb") as file:
            head = file.read(_RIFF_HEAD_BYTES)
            file.seek(0)
            _refuse_cut_riff(head, size)
            with _open(file, head) as sound:
                rate, channels, n_samples = sound.samplerate, sound.channels, sound.frames
    except OSError as error:
        raise _from_os_error(error) from None
    if n_samples >= _UNKNOWN_LENGTH:
        n_samples = len(_read_samples(_read_file(path))[0])
    if n_samples == 0:
        raise AudioError("empty", "the file holds no samples")
    return Probe(rate, channels, n_samples, n_samples / rate)


def decode(path: Path, params: ClipParams, expected_sha256: str | None = None) -> Decoded:
    """Decodes an audio file into a mono waveform at the front end's sample rate.

    Channels are averaged. Other sample rates are resampled with soxr at its very high quality, which does not depend on
    threads. A clip that leaves [-1, 1] (float files may, resampling may by a little) is scaled down to a peak of 1.

    Args:
        path: FLAC, WAV or whatever else libsndfile decodes.
        params: Sample rate, shortest duration and silence level.
        expected_sha256: Of the file's bytes, in hexadecimal, as in the manifest; None to skip the check.

    Raises:
        AudioError: With reason
            `missing`: no such file, or a symbolic link to nothing;
            `unreadable`: the operating system refuses, the path is no regular file, or the stream is damaged;
            `truncated`: the bytes end before the audio does. Damage in the last 8 KiB looks like it, too;
            `empty`: no bytes or no samples;
            `too_short`: below `params.min_duration_s`;
            `not_finite`: NaN or infinity among the samples;
            `silent`: no sample of the downmix reaches `params.silence_db`;
            `unsupported_format`: no audio format that libsndfile knows (text renamed .flac, for one), a codec that it lacks, or a
            sample rate outside 1 kHz to 1 MHz;
            `duration_mismatch`: a stream that is whole but holds more or fewer samples than its header says;
            `changed`: the bytes are not those that the manifest describes.
    """
    return decode_bytes(_read_file(path), params, expected_sha256)


def decode_bytes(data: bytes, params: ClipParams, expected_sha256: str | None = None) -> Decoded:
    """Decodes the bytes of an audio file; everything else as for `decode`."""
    sha256 = hashlib.sha256(data).hexdigest()
    if expected_sha256 is not None and sha256 != expected_sha256:
        raise AudioError(
            "changed", f"sha256 is {sha256}, the manifest has {expected_sha256}; run `bonafide manifest` again"
        )
    samples, rate = _read_samples(data)
    if len(samples) == 0:
        raise AudioError("empty", "the file holds no samples")
    if not np.isfinite(samples).all():
        count = int(np.count_nonzero(~np.isfinite(samples)))
        raise AudioError("not_finite", f"{count} of {samples.size} values are NaN or infinite")
    duration_s = len(samples) / rate
    if duration_s < params.min_duration_s:
        raise AudioError(
            "too_short", f"{len(samples)} samples at {rate} Hz, at least {params.min_duration_s:g} s are needed"
        )
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    peak_db = _decibels(float(np.abs(mono).max()), 20.0)
    if peak_db < params.silence_db:
        raise AudioError("silent", f"peak {peak_db:.1f} dB, at least {params.silence_db:g} dB are needed")
    if rate != params.sample_rate:
        mono = soxr.resample(mono, rate, params.sample_rate, quality="VHQ")
        if len(mono) == 0:
            raise AudioError("too_short", f"no sample is left at {params.sample_rate} Hz")
    return Decoded(limit_peak(np.ascontiguousarray(mono, dtype=np.float32)), duration_s, sha256)


def limit_peak(waveform: Waveform) -> Waveform:
    """Scales a waveform that leaves [-1, 1] down to a peak of exactly 1; any other is returned as it is."""
    peak = np.abs(waveform).max(initial=np.float32(0.0))
    return waveform / peak if peak > 1.0 else waveform


class _ForwardSoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is only ever read onwards.

    soundfile seeks after every read of a seekable file, which fails where a stream ends before its header says so and hides
    how many samples there were.
    """

    def seekable(self) -> bool:
        return False


def _open(file: BinaryIO, head: bytes) -> _ForwardSoundFile:
    try:
        sound = _ForwardSoundFile(file)
    except soundfile.LibsndfileError as error:
        if head[:4] == b"fLaC":
            if _flac_metadata_is_cut(head):
                raise AudioError("truncated", "the file ends within the FLAC header") from None
            raise AudioError("unreadable", f"damaged FLAC header: {error.error_string}") from None
        raise AudioError("unsupported_format", f"not a sound file that can be decoded: {error.error_string}") from None
    if not _LOWEST_RATE <= sound.samplerate <= _HIGHEST_RATE:
        raise AudioError("unsupported_format", f"a sample rate of {sound.samplerate} Hz")
    return sound


def _read_samples(data: bytes) -> tuple[npt.NDArray[np.float32], int]:
    """Decodes all samples, float32 [samples, channels], and the sample rate."""
    if not data:
        raise AudioError("empty", "the file has no bytes")
    _refuse_cut_riff(data, len(data))
    is_flac = data[:4] == b"fLaC" and len(data) >= 42
    file = io.BytesIO(_without_flac_length(data) if is_flac else data)
    with _open(file, data) as sound:
        stated = _flac_length(data) if is_flac else int(sound.frames)
        block_length = max(1, _BLOCK_VALUES // sound.channels)
        blocks: list[npt.NDArray[np.float32]] = []
        n_samples = 0
        try:
            while stated == 0 or n_samples < stated:
                wanted = min(block_length, stated - n_samples) if stated else block_length
                block = sound.read(wanted, dtype="float32", always_2d=True)
                blocks.append(block)
                n_samples += len(block)
                if len(block) < wanted:
                    break
        except soundfile.LibsndfileError as error:
            if file.tell() < len(data):
                raise AudioError("unreadable", f"damaged stream: {error.error_string}") from None
            raise AudioError("truncated", f"the file ends within the audio: {error.error_string}") from None
        if n_samples < stated:
            if n_samples == 0:
                raise AudioError("truncated", f"none of the {stated} samples that the header states")
            raise AudioError("duration_mismatch", f"{n_samples} samples, the header states {stated}")
        if is_flac and stated and _has_more(sound):
            raise AudioError("duration_mismatch", f"more samples than the {stated} that the header states")
        rate = int(sound.samplerate)
        channels = int(sound.channels)
    if len(blocks) == 1:
        return blocks[0], rate
    return np.concatenate(blocks) if blocks else np.zeros((0, channels), np.float32), rate


def _has_more(sound: _ForwardSoundFile) -> bool:
    try:
        return len(sound.read(1, dtype="float32", always_2d=True)) > 0
    except soundfile.LibsndfileError:
        # What follows the audio is no audio: tags of other formats are common there, and harmless.
        return False


def _flac_length(data: bytes) -> int:
    """Samples that the STREAMINFO block states, 36 bits; 0 for unknown."""
    return (data[21] & 0x0F) << 32 | int.from_bytes(data[22:26], "big")


def _without_flac_length(data: bytes) -> bytes:
    """The same file with its length unknown, so that the decoder goes to the true end of the stream."""
    return data[:21] + bytes([data[21] & 0xF0, 0, 0, 0, 0]) + data[26:]


def _flac_metadata_is_cut(head: bytes) -> bool:
    position = 4
    while position + 4 <= len(head):
        is_last = head[position] & 0x80
        position += 4 + int.from_bytes(head[position + 1 : position + 4], "big")
        if is_last:
            return position >= len(head)
    return True


def _refuse_cut_riff(head: bytes, size: int) -> None:
    """Refuses a WAV file with fewer bytes than it declares: libsndfile takes what is there without a word."""
    if head[:4] != b"RIFF":
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


def _size_of_regular_file(path: Path) -> int:
    try:
        status = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            raise AudioError("missing", "a symbolic link to nothing") from None
        raise _from_os_error(error) from None
    if stat.S_ISDIR(status.st_mode):
        raise AudioError("unreadable", "a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError("unreadable", "not a regular file")
    return status.st_size


def _read_file(path: Path) -> bytes:
    _size_of_regular_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _from_os_error(error) from None


def _from_os_error(error: OSError) -> AudioError:
    if isinstance(error, FileNotFoundError):
        return AudioError("missing", "no such file")
    return AudioError("unreadable", error.strerror or type(error).__name__)
