"""Augmentation compared with librosa's effects and with noise as one adds it in numpy, and the time of each kind of twin.

The difference from librosa in float64 is the mean over all values of log-Mel in dB. In float32 librosa adds up the phase to
thousands of radians and loses digits.

python -m benchmarks.bench_augmentation
"""

import argparse

import librosa
import numpy as np

from benchmarks import peers
from benchmarks.clips import FEATURES, SAMPLE_RATE, Clips, run_on_clips
from benchmarks.harness import Row, absolute, cpu_s, in_turn
from benchmarks.peers import Waveform
from pipeline.augmentation.copy_synthesis.params import TWIN_KINDS, CopySynthesisParams, TwinKind
from pipeline.augmentation.copy_synthesis.synthesizer import Synthesizer
from pipeline.augmentation.noise import Noise, NoiseValues
from pipeline.augmentation.params import NoiseParams
from pipeline.augmentation.pitch_tempo import change_pitch_and_tempo
from pipeline.frontends import make_front_end

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


def own_pitch(waveform: Waveform) -> Waveform:
    return change_pitch_and_tempo(waveform, SEMITONES, 1.0, SAMPLE_RATE)


def own_stretch(waveform: Waveform) -> Waveform:
    return change_pitch_and_tempo(waveform, 0.0, RATE, SAMPLE_RATE)


def librosa_pitch(waveform: Waveform) -> Waveform:
    return librosa.effects.pitch_shift(waveform, sr=SAMPLE_RATE, n_steps=SEMITONES)


def librosa_stretch(waveform: Waveform) -> Waveform:
    return librosa.effects.time_stretch(waveform, rate=RATE)


def rows(clips: Clips, arguments: argparse.Namespace) -> list[Row]:
    """A row for each kind of noise, for pitch and tempo and for both together, and the time of pink noise."""
    compared = (
        ("white noise", white, "numpy loop", naive_white, WHITE_TARGET),
        ("pink noise", pink, "numpy loop", naive_pink, None),
        ("pitch shift", own_pitch, "librosa", librosa_pitch, PITCH_TARGET),
        ("time stretch", own_stretch, "librosa", librosa_stretch, STRETCH_TARGET),
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
    found += [twin_time(kind, clips, arguments.passes) for kind in TWIN_KINDS]
    front_end = make_front_end(FEATURES)
    for name, own, other in (
        ("pitch shift", own_pitch, librosa_pitch),
        ("time stretch", own_stretch, librosa_stretch),
    ):
        means = [
            np.abs(front_end(own(clip)) - front_end(other(clip.astype(np.float64)).astype(np.float32))).mean()
            for clip in clips.waveforms
        ]
        found.append(absolute(f"{name}, difference from librosa in float64", means, "dB", None, "mean of a clip"))
    return found


def twin_time(kind: TwinKind, clips: Clips, passes: int) -> Row:
    """CPU time of one kind of copy-synthesis for a clip, over clips and draws."""
    synthesizer = Synthesizer(CopySynthesisParams(copies=1, kinds=(kind,)), 2019, SAMPLE_RATE)
    drawn = [(clip, synthesizer.draw("clip", number, 0)) for number in range(passes) for clip in clips.waveforms]
    synthesizer.apply(*drawn[0])  # compiles
    times_ms = [1e3 * cpu_s(lambda clip=clip, twin=twin: synthesizer.apply(clip, twin)) for clip, twin in drawn]
    low, middle, high = np.percentile(times_ms, [5, 50, 95])
    return absolute(f"twin {kind}", [low, middle, high], "ms", None, "a clip; 5 % to 95 % of the draws")


def main(argv: list[str] | None = None) -> None:
    run_on_clips(__doc__, rows, argv)


if __name__ == "__main__":
    main()
