"""Pictures of a feature store: one spectrogram, or what the store holds as a whole. The same store gives the same bytes."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.corpus.schema import BONA_FIDE, SPLITS, SPOOF
from pipeline.files import atomic_path
from pipeline.frontends import FeatureParams, make_front_end
from pipeline.store.reader import FeatureStore
from pipeline.store.records import Example
from pipeline.store.summary import attack_counts

_CLASSES: Final = (("bona fide", BONA_FIDE, "#0072b2"), ("spoof", SPOOF, "#d55e00"))
_HISTOGRAMS: Final = (
    ("duration_s", "duration, s"),
    ("level_db", "level, dB"),
    ("leading_silence_s", "leading silence, s"),
    ("trailing_silence_s", "trailing silence, s"),
)


def plot_example(example: Example, features: FeatureParams, path: Path) -> None:
    """Draws a spectrogram over time and frequency as PNG."""
    n_frames, n_bins = example.features.shape
    seconds = features.hop_length / features.sample_rate
    figure = _figure(min(16.0, max(5.0, 2.0 + n_frames * seconds * 1.6)), 3.6)
    axis = figure.add_subplot()
    # float32: matplotlib's colour limits overflow in float16.
    image = axis.imshow(
        example.features.T.astype(np.float32),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="magma",
        extent=(0.0, n_frames * seconds, -0.5, n_bins - 0.5),
    )
    label_bins(axis, features)
    axis.set_xlabel("time, s")
    kind = {BONA_FIDE: "bona fide", SPOOF: f"spoof, {example.attack_id}", None: "unlabelled"}[example.label]
    axis.set_title(f"{example.utterance_id} ({kind}), copy {example.copy}", fontsize=10)
    figure.colorbar(image, label="dB")
    _save(figure, path)


def label_bins(axis: Any, features: FeatureParams) -> None:
    """Labels the vertical axis of a spectrogram, on which bin i is at i, with frequencies."""
    frequencies = make_front_end(features).frequencies()
    ticks = np.linspace(0, len(frequencies) - 1, min(6, len(frequencies))).astype(int)
    axis.set_yticks(ticks, [f"{frequencies[tick]:.0f}" for tick in ticks])
    axis.set_ylabel("frequency, Hz")


def plot_store(store: FeatureStore, path: Path) -> None:
    """Draws distributions per class, clips per attack and the mean spectrum of a store's originals as PNG."""
    originals = store.index.filter(pc.equal(store.index["copy"], 0))
    labels = originals["label"].to_numpy()
    figure = _figure(12.0, 6.6)
    axes = figure.subplots(2, 3).ravel()
    for axis, (measure, title) in zip(axes, _HISTOGRAMS, strict=False):
        values = originals[measure].to_numpy()
        edges = np.histogram_bin_edges(values, 40)
        for name, label, colour in _CLASSES:
            part = values[labels == label]
            if len(part):
                weights = np.full(len(part), 1 / len(part))
                axis.hist(part, edges, weights=weights, histtype="step", color=colour, label=name)
        axis.set(xlabel=title, ylabel="share of clips")
    axes[0].legend(fontsize=8)
    _plot_attacks(axes[4], store)
    _plot_bins(axes[5], store)
    _save(figure, path)


def _plot_attacks(axis: Any, store: FeatureStore) -> None:
    counts = attack_counts(store)
    names = list(counts)
    left = np.zeros(len(names))
    for split, colour in zip(SPLITS, ("#009e73", "#e69f00", "#999999"), strict=True):
        clips = np.array([counts[name][split] for name in names], dtype=float)
        axis.barh(names, clips, left=left, color=colour, label=split)
        left += clips
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=7)
    axis.set(xlabel="clips")
    axis.legend(fontsize=8)


def _plot_bins(axis: Any, store: FeatureStore) -> None:
    statistics, frequencies = store.statistics, make_front_end(store.features).frequencies()
    axis.plot(frequencies, statistics.mean, color="black")
    low, high = statistics.mean - statistics.deviation, statistics.mean + statistics.deviation
    axis.fill_between(frequencies, low, high, color="black", alpha=0.15)
    axis.set(xlabel="frequency, Hz", ylabel="mean ± deviation of train, dB")


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})
