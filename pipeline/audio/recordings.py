"""Long recordings, block by block: decoding that never holds the whole waveform.

A file whose audio lies in one run of bytes of a stated size, such as WAV, is read block by block. The bytes of any other file,
which is compressed, are in memory as a whole; its samples are not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import soxr

from pipeline.audio import Waveform
from pipeline.audio.containers import HEAD_BYTES, find_audio, is_flac, is_tail, require_whole
from pipeline.audio.decode import downmix, require_finite
from pipeline.audio.files import open_audio, read_audio
from pipeline.audio.limits import require_not_longer
from pipeline.audio.streams import SoundFileStream, Stream, open_stream
from pipeline.errors import AudioError

LARGEST_IN_MEMORY: Final = 1 << 30
"""Bytes of the largest file whose bytes are held as a whole."""
_TAIL_BYTES: Final = 4096


@contextmanager
def open_recording(path: Path) -> Iterator[Stream]:
    """An audio file as a stream, which may be used while the block runs.

    Raises:
        AudioError: As for `pipeline.audio.decode.decode`; `too_long` for a compressed file above `LARGEST_IN_MEMORY`.
    """
    with open_audio(path) as (file, size):
        head = file.read(HEAD_BYTES)
        audio = None if is_flac(head) else find_audio(head, size)
        if audio is None or not audio.declared or audio.is_mpeg:
            yield open_stream(read_audio(path, LARGEST_IN_MEMORY))
            return
        require_whole(audio, size)
        file.seek(audio.begin + audio.declared)
        if not is_tail(file.read(_TAIL_BYTES)):
            text = f"the header states {audio.declared} of {size - audio.begin} bytes of audio"
            raise AudioError("duration_mismatch", text)
        file.seek(0)
        yield SoundFileStream(file)


def waveform_blocks(stream: Stream, sample_rate: int, most_s: float) -> Iterator[Waveform]:
    """The audio of a stream as mono at another sample rate, a few seconds at a time.

    Channels are averaged. The resampler runs over the ends of the blocks, so they leave no trace.

    Args:
        stream: Of a file.
        sample_rate: Of the result, Hz.
        most_s: Longest duration in seconds.

    Yields:
        float32 [samples], any number of them; beyond [-1, 1] where the file is.

    Raises:
        AudioError: What decoding finds, `not_finite` or `too_long`.
    """
    rate, n_samples = stream.sample_rate, 0
    require_not_longer(stream.stated, rate, stream.channels, most_s)
    resampler = None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, "float32", "VHQ")
    for block in stream.blocks():
        n_samples += len(block)
        require_not_longer(n_samples, rate, stream.channels, most_s)
        require_finite(block)
        mono = downmix(block)
        yield mono if resampler is None else _contiguous(resampler.resample_chunk(mono))
    if resampler is not None:
        yield _contiguous(resampler.resample_chunk(np.zeros(0, np.float32), last=True))


def _contiguous(samples: Waveform) -> Waveform:
    return np.ascontiguousarray(samples, dtype=np.float32)
