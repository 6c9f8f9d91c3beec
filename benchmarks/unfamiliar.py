"""Clips that a detector should not be sure about, made from the sample corpus and from nothing: what scoring is held against.

Speech of eval as it is not in training: 8 kHz, 10 dB louder (and clipped) or quieter, 0.3 s, MP3. And no speech at all: noise,
tones, near silence, chords. All are drawn from a fixed seed. No speech has no right verdict but "uncertain".
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from pipeline.corpus.manifest import build_manifest
from pipeline.corpus.schema import label_name

RATE: Final = 16_000
Waveform = npt.NDArray[np.float32]
Draw = np.random.Generator

SHARES: Final = {
    "8 kHz": 40,
    "10 dB louder": 40,
    "10 dB quieter": 40,
    "0.3 s": 40,
    "MP3": 40,
    "noise": 30,
    "tones": 30,
    "near silence": 10,
    "chords": 30,
}
"""Clips of each condition, 300 in all."""


@dataclass(frozen=True, eq=False)
class Unfamiliar:
    """A clip.

    Attributes:
        condition: Key of `SHARES`.
        label: "bona fide" or "spoof"; None for no speech.
        waveform: float32 [samples], 16 kHz.
    """

    condition: str
    label: str | None
    waveform: Waveform


def _mp3(waveform: Waveform) -> Waveform:
    file = io.BytesIO()
    soundfile.write(file, waveform, RATE, format="MP3", subtype="MPEG_LAYER_III")
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def _eight_khz(waveform: Waveform) -> Waveform:
    return soxr.resample(soxr.resample(waveform, RATE, 8_000, "VHQ"), 8_000, RATE, "VHQ")


def _middle(waveform: Waveform, seconds: float = 0.3) -> Waveform:
    begin = (len(waveform) - round(seconds * RATE)) // 2
    return waveform[begin : begin + round(seconds * RATE)]


def _amplified(waveform: Waveform, decibels: float) -> Waveform:
    return (waveform * np.float32(10 ** (decibels / 20))).clip(-1.0, 1.0)


CHANGES: Final[dict[str, Callable[[Waveform], Waveform]]] = {
    "8 kHz": _eight_khz,
    "10 dB louder": lambda waveform: _amplified(waveform, 10.0),
    "10 dB quieter": lambda waveform: _amplified(waveform, -10.0),
    "0.3 s": _middle,
    "MP3": _mp3,
}


def _noise(draw: Draw, seconds: Waveform) -> Waveform:
    """White to brown noise."""
    spectrum = np.fft.rfft(draw.standard_normal(len(seconds)))
    spectrum /= np.maximum(1.0, np.arange(len(spectrum))) ** draw.uniform(0.0, 1.0)
    return _scaled(np.fft.irfft(spectrum, len(seconds)), 0.1)


def _tones(draw: Draw, seconds: Waveform) -> Waveform:
    """One to three sines in a little noise, 80 Hz to 4 kHz."""
    frequencies = 80.0 * 50.0 ** draw.uniform(0.0, 1.0, int(draw.integers(1, 4)))
    sines = sum(np.sin(2 * np.pi * frequency * seconds) for frequency in frequencies)
    return _scaled(sines + 10.0 ** draw.uniform(-4.0, -1.0) * draw.standard_normal(len(seconds)), 0.1)


def _near_silence(draw: Draw, seconds: Waveform) -> Waveform:
    return _scaled(draw.standard_normal(len(seconds)), 10.0 ** draw.uniform(-3.7, -3.0))


def _chords(draw: Draw, seconds: Waveform) -> Waveform:
    """Chords of decaying harmonics, two or three a second."""
    beat_s = draw.uniform(0.3, 0.6)
    sound = np.zeros(len(seconds))
    for number in range(int(seconds[-1] / beat_s) + 1):
        since = seconds - number * beat_s
        envelope = np.where(since >= 0, np.exp(-4.0 * np.maximum(since, 0.0)), 0.0)
        root = 110.0 * 2.0 ** draw.uniform(0.0, 2.0)
        for note in (1.0, 5 / 4, 3 / 2):
            sound += envelope * sum(np.sin(2 * np.pi * root * note * k * since) / k for k in range(1, 7))
    return _scaled(sound, 0.1)


def _scaled(values: npt.NDArray[np.float64], rms: float) -> Waveform:
    return (values * (rms / np.sqrt(np.mean(np.square(values))))).clip(-1.0, 1.0).astype(np.float32)


SOUNDS: Final[dict[str, Callable[[Draw, Waveform], Waveform]]] = {
    "noise": _noise,
    "tones": _tones,
    "near silence": _near_silence,
    "chords": _chords,
}


def unfamiliar_clips(corpus: Path, count: int = 300, seed: int = 7) -> Iterator[Unfamiliar]:
    """The clips, those of each condition together.

    Args:
        corpus: The sample corpus; clips of its eval split are used, both classes alike.
        count: Clips, about.
        seed: Of the draws.
    """
    draw = np.random.default_rng(seed)
    speech = clips_of(corpus, "eval")
    by_label = [[clip for clip in speech if clip[0] == label] for label in ("bona fide", "spoof")]
    for condition, share in SHARES.items():
        for number in range(max(2, round(share * count / 300))):
            if condition in CHANGES:
                label, path = by_label[number % 2][int(draw.integers(len(by_label[number % 2])))]
                waveform = soundfile.read(path, dtype="float32")[0]
                yield Unfamiliar(condition, label, CHANGES[condition](waveform))
            else:
                seconds = np.arange(round(draw.uniform(1.0, 3.0) * RATE)) / RATE
                yield Unfamiliar(condition, None, SOUNDS[condition](draw, seconds.astype(np.float32)))


def clips_of(corpus: Path, split: str) -> list[tuple[str, Path]]:
    """Label and path of a split's clips."""
    rows = build_manifest(corpus).to_pylist()
    return [(label_name(row["label"]), corpus / row["path"]) for row in rows if row["split"] == split]
