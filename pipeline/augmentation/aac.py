"""AAC: a waveform through the encoder and the decoder of FFmpeg, in an MP4 file in memory.

FFmpeg comes with the package `av`, which is optional (extra `media`). MP4 states the delay of the encoder, and the decoder takes
it away. FFmpeg chooses its code by the processor, so the samples may differ between machines.
"""

import importlib.util
import io
from typing import Final

import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.level import limit_peak
from pipeline.audio.media import MediaStream
from pipeline.augmentation.filters import change_rate, fit_length
from pipeline.errors import ParamsError

PACKAGE: Final = "av"
_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# The rate at which waveforms of other rates are encoded.
_COMMON_RATE: Final = 48000
_BITS_PER_SECOND: Final = 64_000
# Samples of a frame of AAC. A file without a whole frame of sound decodes to nothing.
_FRAME: Final = 1024


def has_aac() -> bool:
    """Whether the package with the encoder is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


def through_aac(waveform: Waveform, sample_rate: int) -> Waveform:
    """Encodes a waveform by AAC-LC at 64 kbit/s and decodes it again.

    Args:
        waveform: float32 [samples]; one that leaves [-1, 1] is scaled down first.
        sample_rate: Hz; a rate that AAC does not know is resampled to 48 kHz.

    Returns:
        float32 [samples], aligned with the waveform and as long.

    Raises:
        ParamsError: `av` is not installed, see `has_aac`.
    """
    rate = sample_rate if sample_rate in _RATES else _COMMON_RATE
    coded = limit_peak(change_rate(limit_peak(waveform), sample_rate, rate))
    samples = np.concatenate(list(MediaStream(_encoded(coded, rate)).blocks()))[:, 0]
    return fit_length(change_rate(samples, rate, sample_rate), len(waveform))


def _encoded(waveform: Waveform, rate: int) -> bytes:
    """The bytes of an MP4 file; a frame of silence follows the waveform."""
    try:
        import av
    except ImportError:
        raise ParamsError("AAC needs the package av, which is not installed; pip install 'bonafide[media]'") from None

    padded = np.pad(waveform, (0, _FRAME))[np.newaxis].astype(np.float32, copy=False)
    frame = av.AudioFrame.from_ndarray(padded, format="fltp", layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        stream.bit_rate = _BITS_PER_SECOND
        for of_sound in (frame, None):  # None: what the encoder still holds
            container.mux(stream.encode(of_sound))
    return file.getvalue()
