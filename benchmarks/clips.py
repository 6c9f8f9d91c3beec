"""The clips that the benchmarks work on: the sample corpus' speech, joined and cut to clips of 3.1 s.

The mean clip of ASVspoof 2019 LA lasts about 3 s, those of the sample 2.0 s; a cost that comes once a clip would weigh too
much there. `--audio` names a folder with other FLAC files, which are used as they are.
"""

import argparse
import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile

from benchmarks.harness import REPOSITORY, Row, parser, report
from pipeline.augmentation.params import AugmentParams
from pipeline.frontends.log_mel import LogMelParams
from pipeline.store.sharding import Source
from pipeline.yaml_file import read_yaml

SAMPLE_RATE: Final = 16_000
CLIP_S: Final = 3.1
SAMPLE_CORPUS: Final = REPOSITORY / "data" / "sample" / "LA"


def log_mel(n_fft: int, win_length: int, hop_length: int, n_mels: int) -> LogMelParams:
    """Parameters of a log-Mel front end for the benchmarks."""
    return LogMelParams(
        sample_rate=SAMPLE_RATE,
        n_fft=n_fft,
        win_length=win_length,
        hop_length=hop_length,
        n_mels=n_mels,
        f_min=20.0,
        f_max=8000.0,
        floor_db=-100.0,
        min_duration_s=0.1,
        silence_db=-80.0,
        max_reject_fraction=0.01,
    )


FEATURES: Final = log_mel(512, 400, 160, 80)

# What librosa has a peer for: pitch, tempo and noise. Twins and the other kinds have rows of their own.
_PROBABILITIES: Final = {"pitch_shift": 0.5, "time_stretch": 0.5, "noise": 0.7}


def augmentation(copies: int) -> AugmentParams:
    """Parameters of the augmentation for the benchmarks: copies with pitch shift, time stretch and noise, no twins."""
    section = read_yaml(REPOSITORY / "params.yaml")["augment"]
    kinds = {
        name: {**value, "probability": _PROBABILITIES.get(name, 0.0)}
        for name, value in section.items()
        if isinstance(value, dict) and "probability" in value
    }
    twins = {**section["copy_synthesis"], "copies": 0}
    return AugmentParams.model_validate({**section, **kinds, "copies": copies, "copy_synthesis": twins})


@dataclass(frozen=True)
class Clips:
    """Audio files and what is in them.

    Attributes:
        folder: Where the files are.
        paths: The files, FLAC.
        waveforms: float32 [samples] of each file.
    """

    folder: Path
    paths: list[Path]
    waveforms: list[npt.NDArray[np.float32]]

    def sources(self) -> tuple[Source, ...]:
        """The files as rows of a manifest, sorted by id."""
        return tuple(
            Source(
                f"LA_T_{number:07d}",
                "LA_0000",
                None,
                1,
                str(path.relative_to(self.folder)),
                hashlib.sha256(path.read_bytes()).hexdigest(),
                None,
            )
            for number, path in enumerate(self.paths)
        )


def add_options(parser: argparse.ArgumentParser, default: int = 40) -> None:
    """Adds the choice of clips to a benchmark's options."""
    parser.add_argument("--clips", type=int, default=default, help="how many clips (default: %(default)s)")
    parser.add_argument(
        "--audio", type=Path, help="folder with FLAC files of 16 kHz; default: 3.1 s clips cut from the sample corpus"
    )


@contextlib.contextmanager
def benchmark_clips(arguments: argparse.Namespace) -> Iterator[Clips]:
    """Gives the clips that the options ask for; cut ones lie in a temporary folder until the end of the block."""
    if arguments.audio is not None:
        paths = sorted(arguments.audio.rglob("*.flac"))
        if not paths:
            raise SystemExit(f"{arguments.audio}: no FLAC files")
        paths = paths[:: max(1, len(paths) // arguments.clips)][: arguments.clips]
        yield Clips(arguments.audio, paths, [soundfile.read(path, dtype="float32")[0] for path in paths])
        return
    with tempfile.TemporaryDirectory(prefix="bonafide-bench-") as name:
        yield cut_clips(Path(name), arguments.clips)


def run_on_clips(
    doc: str | None, rows: Callable[[Clips, argparse.Namespace], list[Row]], argv: Sequence[str] | None
) -> None:
    """The command line of a benchmark that needs clips and has no options of its own."""
    options = parser(doc)
    add_options(options)
    arguments = options.parse_args(argv)
    with benchmark_clips(arguments) as clips:
        report(doc, rows(clips, arguments), arguments.json)


def cut_clips(folder: Path, count: int) -> Clips:
    """Writes clips of 3.1 s that are made of the sample corpus' speech, the same ones on every call."""
    n_samples = round(CLIP_S * SAMPLE_RATE)
    recordings = iter(sorted(SAMPLE_CORPUS.rglob("*.flac")) * (1 + count // 100))
    paths, waveforms = [], []
    for number in range(count):
        speech = np.zeros(0, np.float32)
        while len(speech) < n_samples:
            speech = np.concatenate([speech, soundfile.read(next(recordings), dtype="float32")[0]])
        paths.append(folder / f"{number:05d}.flac")
        soundfile.write(paths[-1], speech[:n_samples], SAMPLE_RATE, "PCM_16")
        waveforms.append(speech[:n_samples])
    return Clips(folder, paths, waveforms)
