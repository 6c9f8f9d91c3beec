#!/usr/bin/env python3
"""How well do cues that are not about synthesis tell the classes of a corpus apart?

Each probe reads one trivial property of a clip; its equal error rate, alone or through a logistic regression fitted on train,
should be near 50 %. Needs numpy, scipy, soundfile and scikit-learn, nothing of the builder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).parent))
from treatment import SAMPLE_RATE, Audio, active_rms, frame_level_db, mean_psd, speech_bounds, speech_mask

PROTOCOLS = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}
# Probes that must not tell the classes apart, neither by a single value nor by a regression.
GUARDED = ("duration", "lead and tail", "level", "band edges", "pauses", "noise floor", "long-term spectrum")


def _db(power: float) -> float:
    return float(10 * np.log10(power + 1e-14))


def duration(clip: Audio) -> list[float]:
    """Seconds."""
    return [len(clip) / SAMPLE_RATE]


def lead_and_tail(clip: Audio) -> list[float]:
    """Seconds of silence before and after the speech."""
    start, stop = speech_bounds(clip)
    return [start / SAMPLE_RATE, (len(clip) - stop) / SAMPLE_RATE]


def level(clip: Audio) -> list[float]:
    """Active level and peak, in dB re full scale."""
    return [20 * np.log10(active_rms(clip) + 1e-9), 20 * np.log10(np.abs(clip).max() + 1e-9)]


def band_edges(clip: Audio) -> list[float]:
    """Power of the speech below 100 Hz, above 6.5 kHz and above 7 kHz, in dB."""
    psd, frequency = mean_psd(clip, "loud"), np.fft.rfftfreq(1024, 1 / SAMPLE_RATE)
    return [_db(psd[chosen].mean()) for chosen in (frequency < 100, frequency > 6500, frequency > 7000)]


def pauses(clip: Audio) -> list[float]:
    """Share of pauses between the beginning and the end of the speech."""
    on = np.flatnonzero(speech_mask(clip))
    return [1 - len(on) / (on[-1] - on[0] + 1) if len(on) else 0.0]


def noise_floor(clip: Audio) -> list[float]:
    """Level of the quietest frames, and that of the loud frames above it, in dB."""
    frames = frame_level_db(clip)
    return [float(np.percentile(frames, 5)), float(np.percentile(frames, 95) - np.percentile(frames, 10))]


def long_term_spectrum(clip: Audio) -> list[float]:
    """Mean spectrum of the speech in eight mel-spaced bands of 160-6500 Hz, in dB re their mean."""
    psd, frequency = mean_psd(clip, "loud"), np.fft.rfftfreq(1024, 1 / SAMPLE_RATE)
    low_end, high_end = np.log1p(np.array([160, 6500]) / 700)
    edges = 700 * np.expm1(np.linspace(low_end, high_end, 9))
    bands = [_db(psd[(frequency >= low) & (frequency < high)].mean()) for low, high in pairwise(edges)]
    return [band - float(np.mean(bands)) for band in bands]


PROBES: dict[str, Callable[[Audio], list[float]]] = {
    "duration": duration,
    "lead and tail": lead_and_tail,
    "level": level,
    "band edges": band_edges,
    "pauses": pauses,
    "noise floor": noise_floor,
    "long-term spectrum": long_term_spectrum,
}


def read_protocols(root: Path) -> dict[str, list[tuple[str, bool]]]:
    """(utterance id, is bona fide) of every line, by split."""
    table = {}
    for split, suffix in PROTOCOLS.items():
        path = root / "ASVspoof2019_LA_cm_protocols" / f"ASVspoof2019.LA.cm.{suffix}.txt"
        fields = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        table[split] = [(field[1], field[4] == "bonafide") for field in fields]
    return table


def equal_error_rate(scores: npt.NDArray[np.float64], bonafide: npt.NDArray[np.bool_]) -> float:
    """Equal error rate, in [0, 1]; higher scores are taken as bona fide, and tied scores share a threshold."""
    thresholds = np.concatenate([[-np.inf], np.unique(scores)])
    miss = np.array([np.mean(scores[bonafide] <= t) for t in thresholds])
    false_alarm = np.array([np.mean(scores[~bonafide] > t) for t in thresholds])
    nearest = int(np.argmin(np.abs(miss - false_alarm)))
    return float((miss[nearest] + false_alarm[nearest]) / 2)


def measure(root: Path) -> dict[str, dict[str, dict[str, float]]]:
    """EER of every probe: {probe: {"value 0", ..., "regression": {split: EER in [0, 0.5] or, regression, [0, 1]}}}."""
    protocols = read_protocols(root)
    bonafide = {split: np.array([label for _, label in rows]) for split, rows in protocols.items()}
    features: dict[str, dict[str, list[list[float]]]] = {name: {split: [] for split in PROTOCOLS} for name in PROBES}
    for split, rows in protocols.items():
        for utterance_id, _ in rows:
            clip, _ = soundfile.read(root / f"ASVspoof2019_LA_{split}" / "flac" / f"{utterance_id}.flac")
            for name, probe in PROBES.items():
                features[name][split].append(probe(clip))
    result: dict[str, dict[str, dict[str, float]]] = {}
    for name in PROBES:
        values = {split: np.array(features[name][split]) for split in PROTOCOLS}
        result[name] = {}
        for column in range(values["train"].shape[1]):
            rates = {s: equal_error_rate(values[s][:, column], bonafide[s]) for s in PROTOCOLS}
            result[name][f"value {column}"] = {split: min(rate, 1 - rate) for split, rate in rates.items()}
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
        model.fit(values["train"], bonafide["train"])
        result[name]["regression"] = {
            split: equal_error_rate(model.decision_function(values[split]), bonafide[split]) for split in PROTOCOLS
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python tools/sample_corpus/probes.py data/sample/LA"
    )
    parser.add_argument("corpus", type=Path, help="corpus folder in the ASVspoof 2019 LA layout")
    for name, rows in measure(parser.parse_args().corpus).items():
        for kind, rates in rows.items():
            shown = "  ".join(f"{split} {100 * rate:5.1f} %" for split, rate in rates.items())
            print(f"{name:18s} {kind:11s} EER  {shown}")


if __name__ == "__main__":
    main()
