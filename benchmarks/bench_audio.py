"""Decoding with every check compared with `librosa.load`, and the measures compared with what they were in numpy.

python -m benchmarks.bench_audio
"""

import argparse
import dataclasses

import librosa
import numpy as np

from benchmarks.clips import FEATURES, SAMPLE_RATE, Clips, run_on_clips
from benchmarks.harness import Row, in_turn
from benchmarks.measures_in_numpy import measure_in_numpy
from pipeline.audio.decode import decode
from pipeline.audio.measures import measure

DECODE_TARGET = 1.2
MEASURE_TARGET = 2.2


def rows(clips: Clips, arguments: argparse.Namespace) -> list[Row]:
    """One row for decoding, one for the measures.

    Raises:
        AssertionError: The two ways to measure a clip differ.
    """
    decoding = in_turn(
        lambda path: decode(path, FEATURES),
        lambda path: librosa.load(path, sr=SAMPLE_RATE),
        clips.paths,
        arguments.passes,
    )
    for clip in clips.waveforms:
        np.testing.assert_allclose(
            dataclasses.astuple(measure(clip, SAMPLE_RATE)), measure_in_numpy(clip, SAMPLE_RATE), rtol=0, atol=1e-3
        )
    measuring = in_turn(
        lambda clip: measure(clip, SAMPLE_RATE),
        lambda clip: measure_in_numpy(clip, SAMPLE_RATE),
        clips.waveforms,
        arguments.passes,
    )
    n_clips = len(clips.paths)
    return [
        decoding.row("decode with checksum and checks", "librosa.load", DECODE_TARGET, n_clips, "clip"),
        measuring.row("measures", "measures in numpy", MEASURE_TARGET, n_clips, "clip"),
    ]


def main(argv: list[str] | None = None) -> None:
    run_on_clips(__doc__, rows, argv)


if __name__ == "__main__":
    main()
