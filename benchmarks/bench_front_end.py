"""Signal processing compared with librosa on the same clips in the same run: CPU time per clip, its ratio, and the difference.

    python benchmarks/bench_front_end.py --audio data/sample/LA

The two libraries alternate clip by clip, so that other load on the machine slows both equally. Times are CPU times of one
thread; the time of a step is the mean over the clips of the median over the repeats.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})

import librosa
import numpy as np

from pipeline.audio.decode import decode
from pipeline.audio.measures import measure
from pipeline.augmentation.pitch_tempo import change_pitch_and_tempo
from pipeline.frontends import FeatureParams, make_front_end
from pipeline.params import load_params

REPOSITORY = Path(__file__).resolve().parent.parent
RATE, SEMITONES = 0.95, 1.3


def librosa_spectrogram(waveform: np.ndarray, params: FeatureParams) -> np.ndarray:
    framing = {"n_fft": params.n_fft, "hop_length": params.hop_length, "win_length": params.win_length}
    if params.kind == "log_mel":
        bands = {"n_mels": params.n_mels, "fmin": params.f_min, "fmax": params.f_max}
        powers = librosa.feature.melspectrogram(y=waveform, sr=params.sample_rate, **framing, **bands)
    else:
        powers = np.abs(librosa.stft(waveform, **framing))[params.band.start : params.band.stop] ** 2
    return librosa.power_to_db(powers, amin=10.0 ** (params.floor_db / 10.0), top_db=None).T


def cpu_s(function: Callable[[Any], Any], argument: Any) -> float:
    start = time.process_time()
    function(argument)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--audio", type=Path, default=REPOSITORY / "data" / "sample" / "LA", help="folder with FLAC files"
    )
    parser.add_argument("--clips", type=int, default=40, help="how many, evenly chosen (default 40)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--params", type=Path, default=REPOSITORY / "params.yaml")
    arguments = parser.parse_args()

    params = load_params(arguments.params).features
    paths = sorted(arguments.audio.rglob("*.flac"))
    if not paths:
        raise SystemExit(f"{arguments.audio}: no FLAC files")
    paths = paths[:: max(1, len(paths) // arguments.clips)][: arguments.clips]
    waveforms = [decode(path, params).waveform for path in paths]
    rate, front_end = params.sample_rate, make_front_end(params)

    def difference(own: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.abs(front_end(own) - front_end(other.astype(np.float32)))

    def stretched(waveform: np.ndarray) -> np.ndarray:
        return change_pitch_and_tempo(waveform, 0.0, RATE, rate)

    def shifted(waveform: np.ndarray) -> np.ndarray:
        return change_pitch_and_tempo(waveform, SEMITONES, 1.0, rate)

    def librosa_stretched(waveform: np.ndarray) -> np.ndarray:
        return librosa.effects.time_stretch(waveform, rate=RATE)

    def librosa_shifted(waveform: np.ndarray) -> np.ndarray:
        return librosa.effects.pitch_shift(waveform, sr=rate, n_steps=SEMITONES)

    steps: list[tuple[str, list[Any], Callable[[Any], Any], Callable[[Any], Any]]] = [
        ("decode + checks", paths, lambda path: decode(path, params), lambda path: librosa.load(path, sr=rate)),
        (params.kind, waveforms, front_end, lambda waveform: librosa_spectrogram(waveform, params)),
        ("time stretch", waveforms, stretched, librosa_stretched),
        ("pitch shift", waveforms, shifted, librosa_shifted),
    ]
    print(f"{len(paths)} clips, {np.mean([len(w) for w in waveforms]) / rate:.2f} s on average, {rate} Hz\n")
    print(f"{'step':<16}{'here':>10}{'librosa':>10}{'ratio':>8}")
    for name, inputs, own, reference in steps:
        own(inputs[0]), reference(inputs[0])  # the first calls compile
        times = np.array(
            [[[cpu_s(own, item), cpu_s(reference, item)] for item in inputs] for _ in range(arguments.repeats)]
        )
        own_ms, reference_ms = 1e3 * np.median(times, axis=0).mean(axis=0)
        print(f"{name:<16}{own_ms:>7.2f} ms{reference_ms:>7.2f} ms{reference_ms / own_ms:>7.1f}x")
    times_ms = [1e3 * cpu_s(lambda waveform: measure(waveform, rate), waveform) for waveform in waveforms]
    print(f"{'measures':<16}{np.median(times_ms):>7.2f} ms")

    differences = [np.abs(front_end(w) - librosa_spectrogram(w, params)) for w in waveforms]
    largest, mean = max(d.max() for d in differences), np.mean([d.mean() for d in differences])
    print(f"\nDifference from librosa in dB of {params.kind}")
    print(f"{params.kind:<14}largest {largest:.1e}, mean {mean:.1e}")
    for name, own, reference in (
        ("time stretch", stretched, librosa_stretched),
        ("pitch shift", shifted, librosa_shifted),
    ):
        in_double = np.mean([difference(own(w), reference(w.astype(np.float64))).mean() for w in waveforms])
        in_single = np.mean([difference(own(w), reference(w)).mean() for w in waveforms])
        print(f"{name:<14}mean {in_double:.1e} (librosa in float64), {in_single:.1e} (librosa in float32)")


if __name__ == "__main__":
    main()
