"""Speech and audio codecs: a waveform is encoded and decoded again.

µ-law, A-law (ITU-T G.711) and GSM full rate (ETSI 06.10) are codes of integers, the same on every processor. MP3, Opus and
Vorbis come from the codec libraries within libsndfile, AAC from FFmpeg. These choose their code by the processor: their samples
may differ between machines, so they are no default of the feature store.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import soundfile

from pipeline.audio import Waveform
from pipeline.audio.level import limit_peak
from pipeline.augmentation.aac import through_aac
from pipeline.augmentation.base import Augmentation, Clip
from pipeline.augmentation.filters import change_rate, fit_length
from pipeline.augmentation.params import CodecKind, CodecParams

Samples = npt.NDArray[np.int16]
Integers = npt.NDArray[np.int32]

_GSM_RATE: Final = 8000
_OPUS_RATES: Final = (8000, 12000, 16000, 24000, 48000)
_MP3_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# The rate at which waveforms of other rates are encoded.
_COMMON_RATE: Final = 48000
_OPUS_KBITS: Final = (6.0, 256.0)
_OPUS_TARGET_KBITS: Final = 24.0
_MP3_TARGET_KBITS: Final = 128.0

# Boundaries of the segments of G.711: the segment of a magnitude is the number of boundaries that it reaches.
_MU_LAW_SEGMENTS: Final = 64 << np.arange(7)
_A_LAW_SEGMENTS: Final = 32 << np.arange(7)
_MU_LAW_LARGEST: Final = 8158


@dataclass(frozen=True)
class CodecValues:
    """The codec of a copy."""

    kind: CodecKind

    def to_dict(self) -> dict[str, Any]:
        """One entry, `codec`."""
        return {"codec": self.kind}


class Codec(Augmentation[CodecValues]):
    """Encodes and decodes."""

    name: ClassVar[str] = "codec"

    def __init__(self, params: CodecParams, sample_rate: int) -> None:
        self._params = params
        self._sample_rate = sample_rate

    def draw(self, generator: np.random.Generator, clip: Clip) -> CodecValues | None:
        chance, kind_draw = generator.random(2)
        if chance >= self._params.probability:
            return None
        return CodecValues(self._params.kinds[int(kind_draw * len(self._params.kinds))])

    def apply(self, waveform: Waveform, values: CodecValues, clips: Mapping[str, Waveform]) -> Waveform:
        """Encodes and decodes; length and place of the signal are kept."""
        return through_codec(waveform, values.kind, self._sample_rate)


def through_codec(waveform: Waveform, kind: CodecKind, sample_rate: int) -> Waveform:
    """Encodes a waveform and decodes it again.

    µ-law and A-law have no rate of their own. GSM runs at 8 kHz, to which the waveform is resampled. Opus codes about 24 kbit/s,
    MP3 128 kbit/s, AAC 64 kbit/s, Vorbis its default quality; a sample rate that they do not know is resampled to 48 kHz. The
    decoders take the delay of their codec away.

    Args:
        waveform: float32 [samples]; one that leaves [-1, 1] is scaled down first, since no codec holds it.
        kind: The codec.
        sample_rate: Hz.

    Returns:
        float32 [samples], aligned with the waveform and as long.

    Raises:
        soundfile.LibsndfileError: The installed libsndfile lacks the codec.
        ParamsError: AAC, and `av` is not installed.
    """
    waveform = limit_peak(waveform)
    match kind:
        case "mu_law":
            return mu_law(_integers(waveform) >> 2).astype(np.float32) * np.float32(2.0**-13)
        case "a_law":
            return a_law(_integers(waveform) >> 3).astype(np.float32) * np.float32(2.0**-12)
        case "gsm":
            return _at_rate(waveform, sample_rate, _GSM_RATE, _gsm)
        case "mp3":
            rate = sample_rate if sample_rate in _MP3_RATES else _COMMON_RATE
            return _at_rate(waveform, sample_rate, rate, lambda samples: encoded_mp3(samples, rate)[0])
        case "opus":
            rate = sample_rate if sample_rate in _OPUS_RATES else _COMMON_RATE
            low, high = _OPUS_KBITS
            level = (high - _OPUS_TARGET_KBITS) / (high - low)
            options = {"format": "OGG", "subtype": "OPUS", "compression_level": level}
            return _at_rate(waveform, sample_rate, rate, lambda samples: _encoded(samples, rate, options)[0])
        case "vorbis":
            options = {"format": "OGG", "subtype": "VORBIS"}
            return _encoded(waveform, sample_rate, options)[0]
        case "aac":
            return through_aac(waveform, sample_rate)


def mu_law(samples: Integers) -> Integers:
    """Through the 8 bits of µ-law (ITU-T G.711).

    Args:
        samples: 14-bit integers, -8192 to 8191.

    Returns:
        The value that each is decoded to, -8031 to 8031.
    """
    magnitude = np.minimum(_magnitude(samples), _MU_LAW_LARGEST) + 33
    segment = np.searchsorted(_MU_LAW_SEGMENTS, magnitude, side="right").astype(np.int32)
    step = magnitude >> (segment + 1) & 15
    decoded = ((2 * step + 33) << segment) - 33
    return np.where(samples < 0, -decoded, decoded).astype(np.int32)


def a_law(samples: Integers) -> Integers:
    """Through the 8 bits of A-law (ITU-T G.711).

    Args:
        samples: 13-bit integers, -4096 to 4095.

    Returns:
        The value that each is decoded to, -4032 to 4032.
    """
    magnitude = _magnitude(samples)
    segment = np.searchsorted(_A_LAW_SEGMENTS, magnitude, side="right").astype(np.int32)
    step = magnitude >> np.maximum(segment, 1) & 15
    decoded = np.where(segment == 0, 2 * step + 1, (2 * step + 33) << np.maximum(segment - 1, 0))
    return np.where(samples < 0, -decoded, decoded).astype(np.int32)


def encoded_mp3(waveform: Waveform, sample_rate: int) -> tuple[Waveform, int]:
    """Through MP3 at a constant 128 kbit/s; also gives the number of bytes of the file."""
    # libsndfile maps compression levels from 0 to 1 to the rates of MPEG-1, or of MPEG-2 below 32 kHz.
    low, high = (32.0, 320.0) if sample_rate >= 32000 else (8.0, 160.0)
    level = (high - _MP3_TARGET_KBITS) / (high - low)
    options = {"format": "MP3", "compression_level": level, "bitrate_mode": "CONSTANT"}
    return _encoded(waveform, sample_rate, options)


def _gsm(waveform: Waveform) -> Waveform:
    layout = {"samplerate": _GSM_RATE, "format": "RAW", "subtype": "GSM610"}
    file = io.BytesIO()
    soundfile.write(file, _integers(waveform).astype(np.int16), **layout)
    file.seek(0)
    decoded: Samples = soundfile.read(file, dtype="int16", channels=1, **layout)[0]
    return decoded.astype(np.float32) * np.float32(2.0**-15)


def _encoded(waveform: Waveform, sample_rate: int, options: Mapping[str, Any]) -> tuple[Waveform, int]:
    """A waveform through a file in memory, and the bytes of the file."""
    file = io.BytesIO()
    soundfile.write(file, waveform, sample_rate, **options)
    n_bytes = file.tell()
    file.seek(0)
    decoded: Waveform = soundfile.read(file, dtype="float32")[0]
    return fit_length(decoded, len(waveform)), n_bytes


def _at_rate(waveform: Waveform, sample_rate: int, rate: int, code: Callable[[Waveform], Waveform]) -> Waveform:
    """Codes at another rate; the result has the rate and length of the waveform."""
    coded = code(limit_peak(change_rate(waveform, sample_rate, rate)))
    return fit_length(change_rate(coded, rate, sample_rate), len(waveform))


def _magnitude(samples: Integers) -> Integers:
    """The one's complement of negative values, as in the reference code of ITU-T G.191: -1 and 0 are both 0."""
    return np.where(samples < 0, ~samples, samples)


def _integers(waveform: Waveform) -> Integers:
    """The nearest 16-bit integers, as int32."""
    integers: Integers = np.clip(np.rint(waveform * np.float32(32768.0)), -32768.0, 32767.0).astype(np.int32)
    return integers
