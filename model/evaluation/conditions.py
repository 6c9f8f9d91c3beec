"""The conditions of the robustness table: what happens to a recording between the speaker and the detector.

Degradations are those of `pipeline.augmentation`, at one fixed strength. A condition is a function of the waveform and of a
seed from the utterance id, so that a table can be repeated.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.audio import Waveform
from pipeline.augmentation.aac import has_aac
from pipeline.augmentation.band_limit import BandLimitValues, limit_band
from pipeline.augmentation.base import exact_power
from pipeline.augmentation.codec import through_codec
from pipeline.augmentation.filters import through_rate
from pipeline.augmentation.noise import add_noise, pink_noise
from pipeline.augmentation.params import CodecKind
from pipeline.augmentation.room import RoomValues, reverberate

_SHIFT: Final = 37

Change = Callable[[Waveform, int, int], Waveform]


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        name: In robustness.json.
        title: For people.
        change: Of waveform float32 [samples], sample rate in Hz and seed; gives float32 [samples], of another length where
            the condition is about length.
        missing: Tells the optional package that the condition needs and that is not installed; None where it can be measured.
    """

    name: str
    title: str
    change: Change
    missing: Callable[[], str | None] = lambda: None


def _gain(decibels: float) -> Change:
    factor = np.float32(exact_power(10, decibels / 20.0))
    # Not cut off at full scale: the condition is about level alone.
    return lambda waveform, rate, seed: waveform * factor


def _codec(kind: CodecKind) -> Change:
    return lambda waveform, rate, seed: through_codec(waveform, kind, rate)


def _noise(snr_db: float) -> Change:
    def change(waveform: Waveform, rate: int, seed: int) -> Waveform:
        return add_noise(waveform, pink_noise(len(waveform), rate, np.random.default_rng(seed)), snr_db)

    return change


def _telephone(waveform: Waveform, rate: int, seed: int) -> Waveform:
    return through_codec(limit_band(waveform, BandLimitValues("telephone"), rate), "mu_law", rate)


def _shifted(waveform: Waveform, rate: int, seed: int) -> Waveform:
    return waveform[_SHIFT:] if len(waveform) > _SHIFT else waveform


def _middle(waveform: Waveform, rate: int, seed: int) -> Waveform:
    start = max(0, (len(waveform) - rate) // 2)
    return waveform[start : start + rate]


CONDITIONS: Final = (
    Condition("gain_up", "10 dB louder", _gain(10.0)),
    Condition("gain_down", "10 dB quieter", _gain(-10.0)),
    Condition(
        "8_khz", "8 kHz and back", lambda waveform, rate, seed: limit_band(waveform, BandLimitValues("8_khz"), rate)
    ),
    Condition("telephone", "telephone, µ-law", _telephone),
    Condition("mp3", "MP3, 128 kbit/s", _codec("mp3")),
    Condition(
        "aac",
        "AAC, 64 kbit/s",
        _codec("aac"),
        lambda: None if has_aac() else "av",
    ),
    Condition("opus", "Opus, 24 kbit/s", _codec("opus")),
    Condition("gsm", "GSM, 13 kbit/s", _codec("gsm")),
    Condition("44_khz", "44.1 kHz and back", lambda waveform, rate, seed: through_rate(waveform, rate, 44100)),
    Condition("shift", f"{_SHIFT} samples later", _shifted),
    Condition("noise_20", "noise at 20 dB", _noise(20.0)),
    Condition("noise_10", "noise at 10 dB", _noise(10.0)),
    Condition(
        "room",
        "room, RT60 0.4 s",
        lambda waveform, rate, seed: reverberate(waveform, RoomValues(0.4, 3.0, seed), rate),
    ),
    Condition("middle", "middle 1 s", _middle),
    Condition("first", "first 0.3 s", lambda waveform, rate, seed: waveform[: max(1, round(0.3 * rate))]),
)
"""All conditions, in the order of the table."""


def seed_of(utterance_id: str) -> int:
    """A number below 2^32 that follows from the utterance id, on every machine the same."""
    return int.from_bytes(hashlib.sha256(utterance_id.encode()).digest()[:4], "little")
