"""The recordings of a speaker, decoded, cut into units, and divided between bona fide clips and spoofed ones."""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import soxr
from conversion import TargetVoice
from sources import Speaker
from treatment import SAMPLE_RATE, Audio, join, mean_psd, speech_bounds

SEED = 2019
# Seconds of speech in a clip, before its margins.
SPEECH_S = (1.1, 2.6)
MAX_JOINED = 4
TARGET_RECORDINGS = 6


def rng_of(*names: str) -> np.random.Generator:
    """The random generator of one purpose."""
    return np.random.default_rng([SEED, *(zlib.crc32(name.encode()) for name in names)])


def read_recording(path: Path) -> Audio:
    """A recording as float64 [samples] at 16 kHz, channels averaged. G.722 has no header and is decoded by ffmpeg."""
    if path.suffix == ".g722":
        command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", str(path), "-f", "s16le", "-"]
        decoded = subprocess.run(command, capture_output=True, check=True).stdout
        return np.frombuffer(decoded, dtype="<i2") / 32768.0
    samples, sample_rate = soundfile.read(path, always_2d=True)
    waveform = samples.mean(axis=1)
    return waveform if sample_rate == SAMPLE_RATE else soxr.resample(waveform, sample_rate, SAMPLE_RATE, quality="VHQ")


class Recordings:
    """A speaker's recordings, cut into units: one recording, or several short ones, that hold enough speech."""

    def __init__(self, speaker: Speaker, root: Path):
        self.speaker, self.root = speaker, root
        files = speaker.files(root)
        if not files:
            raise SystemExit(f"no recordings of {speaker.key} below {root}: install {speaker.package.name}")
        shuffled = [files[i] for i in rng_of("files", speaker.key).permutation(len(files))]
        half = len(shuffled) // 2
        self._pools = {"bonafide": shuffled[:half], "spoof": shuffled[half:]}
        self._iterators = {pool: self._cut(files) for pool, files in self._pools.items()}
        self._units: dict[str, list[list[Path]]] = {pool: [] for pool in self._pools}

    def _cut(self, files: list[Path]) -> Iterator[list[Path]]:
        group: list[Path] = []
        total = 0.0
        for path in files:
            start, stop = speech_bounds(read_recording(path))
            seconds = (stop - start) / SAMPLE_RATE
            if not self.speaker.joined:
                if SPEECH_S[0] <= seconds <= SPEECH_S[1]:
                    yield [path]
                continue
            if not 0.15 <= seconds <= SPEECH_S[1]:
                continue
            # A joined recording brings about 0.14 s of its own silence.
            group, total = [*group, path], total + seconds + (0.14 if group else 0)
            if total >= SPEECH_S[0] or len(group) == MAX_JOINED:
                if SPEECH_S[0] <= total <= SPEECH_S[1]:
                    yield group
                group, total = [], 0.0

    def unit(self, pool: str, index: int) -> list[Path]:
        """The files of a unit; a pool with fewer units starts again with the first."""
        units = self._units[pool]
        while len(units) <= index:
            following = next(self._iterators[pool], None)
            if following is None:
                if not units:
                    raise SystemExit(f"{self.speaker.key} has no recording of {SPEECH_S} s of speech")
                return units[index % len(units)]
            units.append(following)
        return units[index]

    def count(self, pool: str, wanted: int) -> int:
        """How many different units the pool has, up to the number wanted."""
        self.unit(pool, wanted - 1)
        return min(wanted, len(self._units[pool]))

    def read(self, pool: str, index: int) -> Audio:
        """A unit's audio."""
        files = self.unit(pool, index)
        pieces = [read_recording(path) for path in files]
        return pieces[0] if len(pieces) == 1 else join(pieces, rng_of("join", *(path.name for path in files)))

    def names(self, pool: str, index: int) -> str:
        """The paths of a unit's files in the package."""
        return ";".join(str(path.relative_to(self.root)) for path in self.unit(pool, index))

    @cached_property
    def held_out(self) -> list[Audio]:
        """Recordings of no bona fide clip, from which the target voice and the channel are computed."""
        return [self.read("spoof", i) for i in range(self.count("spoof", TARGET_RECORDINGS))]

    @cached_property
    def voice(self) -> TargetVoice:
        return TargetVoice.learn(self.held_out)

    @cached_property
    def channel(self) -> tuple[Audio, Audio]:
        """Mean power spectrum of speech and median one of noise."""
        speech = np.mean([mean_psd(recording, "loud") for recording in self.held_out], axis=0)
        return speech, np.median([mean_psd(recording, "quiet") for recording in self.held_out], axis=0)
