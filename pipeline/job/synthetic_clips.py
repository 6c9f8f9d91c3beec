"""Synthetic clips that cost the features job as much as speech does."""

import hashlib
import math
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile

from pipeline.store.sharding import Source

FEWEST_CLIPS: Final = 5
"""Babble needs three other clips of a shard."""

_AUDIO_S: Final = 40.0
_HARMONICS: Final = 24


def write_clips(folder: Path, duration_s: float, sample_rate: int) -> list[Source]:
    """Writes 16-bit FLAC clips, the same on every call: about 40 s of audio and at least five clips.

    Args:
        folder: Where to write them; the paths of the sources are relative to it.
        duration_s: Of a clip, in seconds.
        sample_rate: In Hz.
    """
    sources = []
    for number in range(max(FEWEST_CLIPS, math.ceil(_AUDIO_S / duration_s))):
        utterance_id = f"clip_{number:03d}"
        path = folder / f"{utterance_id}.flac"
        soundfile.write(path, _voice(number, round(duration_s * sample_rate), sample_rate), sample_rate, "PCM_16")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append(Source(utterance_id, None, None, 1, path.name, sha256, None))
    return sources


def _voice(seed: int, n_samples: int, sample_rate: int) -> npt.NDArray[np.float32]:
    """Harmonics of a gliding pitch in syllables, with noise: float32 [n_samples], in [-1, 1].

    FLAC compresses it by `FLAC_RATIO`, as it does speech, so it takes as long to decode as speech.
    """
    generator = np.random.default_rng(seed)
    time_s = np.arange(n_samples) / sample_rate
    glide = 1.0 + 0.1 * np.sin(2.0 * np.pi * generator.uniform(0.3, 0.7) * time_s)
    phase = 2.0 * np.pi * np.cumsum(generator.uniform(90.0, 250.0) * glide) / sample_rate
    voice = np.zeros(n_samples)
    for harmonic in range(1, _HARMONICS + 1):
        voice += np.sin(harmonic * phase + generator.uniform(0.0, 2.0 * np.pi)) / harmonic**1.5
    syllables = (0.5 + 0.5 * np.sin(2.0 * np.pi * 4.0 * time_s)) ** 2
    voice = voice * syllables + 0.008 * generator.standard_normal(n_samples)
    return np.asarray(0.25 * voice / np.abs(voice).max(), dtype=np.float32)
