"""Augmentation compared with librosa's effects and with noise as one adds it in numpy.

python -m benchmarks.bench_augmentation
"""

import argparse

import librosa
import numpy as np

from benchmarks import peers
from benchmarks.clips import SAMPLE_RATE, Clips, add_options, benchmark_clips
from benchmarks.harness import Row, absolute, cpu_s, in_turn, parser, report
from benchmarks.peers import Waveform
from pipeline.augmentation.noise import Noise, NoiseParams, NoiseValues
from pipeline.augmentation.pitch_tempo import change_pitch_and_tempo

RATE, SEMITONES, SNR_DB = 0.95, 1.3, 20.0
WHITE_TARGET, PITCH_TARGET, STRETCH_TARGET, BOTH_TARGET = 1.7, 3.5, 5.0, 6.5
PINK_LIMIT_MS = 1.0

NOISE = Noise(NoiseParams(probability=1.0, snr_db=(SNR_DB, SNR_DB), kinds=("white", "pink")), SAMPLE_RATE)


def white(waveform: Waveform) -> Waveform:
    return NOISE.apply(waveform, NoiseValues("white", SNR_DB, 1, (), "white"), {})


def pink(waveform: Waveform) -> Waveform:
    return NOISE.apply(waveform, NoiseValues("pink", SNR_DB, 1, (), "pink"), {})


def naive_white(waveform: Waveform) -> Waveform:
    return peers.add_noise(waveform, np.random.randn(len(waveform)), SNR_DB)


def naive_pink(waveform: Waveform) -> Waveform:
    return peers.add_noise(waveform, peers.pink_noise(len(waveform), SAMPLE_RATE), SNR_DB)


def librosa_pitch(waveform: Waveform) -> Waveform:
    return librosa.effects.pitch_shift(waveform, sr=SAMPLE_RATE, n_steps=SEMITONES)


def librosa_stretch(waveform: Waveform) -> Waveform:
    return librosa.effects.time_stretch(waveform, rate=RATE)


def rows(clips: Clips, arguments: argparse.Namespace) -> list[Row]:
    """A row for each kind of noise, for pitch and tempo and for both together, and the time of pink noise."""
    compared = (
        ("white noise", white, "numpy loop", naive_white, WHITE_TARGET),
        ("pink noise", pink, "numpy loop", naive_pink, None),
        (
            "pitch shift",
            lambda clip: change_pitch_and_tempo(clip, SEMITONES, 1.0, SAMPLE_RATE),
            "librosa",
            librosa_pitch,
            PITCH_TARGET,
        ),
        (
            "time stretch",
            lambda clip: change_pitch_and_tempo(clip, 0.0, RATE, SAMPLE_RATE),
            "librosa",
            librosa_stretch,
            STRETCH_TARGET,
        ),
        (
            "pitch shift and time stretch",
            lambda clip: change_pitch_and_tempo(clip, SEMITONES, RATE, SAMPLE_RATE),
            "librosa",
            lambda clip: librosa_stretch(librosa_pitch(clip)),
            BOTH_TARGET,
        ),
    )
    found = [
        in_turn(own, other, clips.waveforms, arguments.passes).row(name, peer, target, len(clips.waveforms), "clip")
        for name, own, peer, other, target in compared
    ]
    times_ms = [1e3 * cpu_s(lambda clip=clip: pink(clip)) for _ in range(arguments.passes) for clip in clips.waveforms]
    low, middle, high = np.percentile(times_ms, [5, 50, 95])
    found.append(absolute("pink noise, a clip", [low, middle, high], "ms", PINK_LIMIT_MS, "5 % to 95 % of the clips"))
    return found


def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__)
    add_options(options)
    arguments = options.parse_args(argv)
    with benchmark_clips(arguments) as clips:
        report(__doc__, rows(clips, arguments), arguments.json)


if __name__ == "__main__":
    main()
