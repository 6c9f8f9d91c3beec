"""Pictures of a feature store: one spectrogram, or the store as a whole. The same store gives the same bytes."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.corpus.schema import SPLITS, SPOOF, label_name
from pipeline.frontends import FeatureParams, make_front_end
from pipeline.store.counts import attack_counts
from pipeline.store.describe import CLASSES, MEASURES
from pipeline.store.figures import draw_histograms, histogram_edges, new_figure, save_png
from pipeline.store.reader import FeatureStore
from pipeline.store.records import Example
from pipeline.text import printable

_SPLIT_COLOURS: Final = ("#009e73", "#e69f00", "#999999")
_DRAWN: Final = ("duration_s", "level_db", "leading_silence_s", "trailing_silence_s")


def plot_example(example: Example, features: FeatureParams, path: Path) -> None:
    """Draws a spectrogram over time and frequency as PNG."""
    seconds = len(example.features) * features.hop_length / features.sample_rate
    figure = new_figure(min(16.0, max(5.0, 2.0 + seconds * 1.6)), 3.6)
    axis = figure.add_subplot()
    image = draw_spectrogram(axis, example, features)
    label_bins(axis, features)
    kind = label_name(example.label) + (f", {example.attack_id}" if example.label == SPOOF else "")
    axis.set_title(f"{printable(example.utterance_id)} ({printable(kind)}), copy {example.copy}", fontsize=10)
    figure.colorbar(image, label="dB")
    save_png(figure, path)


def draw_spectrogram(axis: Any, example: Example, features: FeatureParams, **limits: float) -> Any:
    """Draws a spectrogram over time.

    Args:
        axis: Matplotlib axes.
        example: The example.
        features: The front end that made it.
        limits: `vmin` and `vmax`, the levels in dB at the ends of the colour scale; by default those of the example.

    Returns:
        The matplotlib image, for a colour bar.
    """
    n_frames, n_bins = example.features.shape
    axis.set_xlabel("time, s")
    return axis.imshow(
        example.features.T.astype(np.float32),  # the colour limits overflow in float16
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="magma",
        extent=(0.0, n_frames * features.hop_length / features.sample_rate, -0.5, n_bins - 0.5),
        **limits,
    )


def label_bins(axis: Any, features: FeatureParams) -> None:
    """Labels the vertical axis of a spectrogram, on which bin i is at i, with what the bins stand for."""
    bins = make_front_end(features).bin_axis()
    ticks = np.linspace(0, len(bins.values) - 1, min(6, len(bins.values))).astype(int)
    axis.set_yticks(ticks, [f"{bins.values[tick]:.0f}" for tick in ticks])
    axis.set_ylabel(bins.title)


def plot_store(store: FeatureStore, path: Path) -> None:
    """Draws measures per class, clips per attack and the mean spectrum of a store's originals as PNG."""
    originals = store.select(copy=0).index
    labels = originals["label"].to_numpy()
    figure = new_figure(12.0, 6.6)
    axes = figure.subplots(2, 3).ravel()
    for axis, measure in zip(axes, _DRAWN, strict=False):
        values = originals[measure].to_numpy()
        by_class = {name: values[labels == label] for name, label in CLASSES.items()}
        draw_histograms(axis, by_class, histogram_edges(values))
        axis.set(xlabel=MEASURES[measure], ylabel="share of clips")
    axes[0].legend(fontsize=8)
    _plot_attacks(axes[4], originals)
    _plot_bins(axes[5], store)
    save_png(figure, path)


def _plot_attacks(axis: Any, originals: pa.Table) -> None:
    counts = attack_counts(originals)
    names = list(counts)
    left = np.zeros(len(names))
    for split, colour in zip(SPLITS, _SPLIT_COLOURS, strict=True):
        clips = np.array([counts[name][split] for name in names], dtype=float)
        axis.barh([printable(name) for name in names], clips, left=left, color=colour, label=split)
        left += clips
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=7)
    axis.set(xlabel="clips")
    axis.legend(fontsize=8)


def _plot_bins(axis: Any, store: FeatureStore) -> None:
    statistics, bins = store.statistics, make_front_end(store.features).bin_axis()
    axis.plot(bins.values, statistics.mean, color="black")
    low, high = statistics.mean - statistics.deviation, statistics.mean + statistics.deviation
    axis.fill_between(bins.values, low, high, color="black", alpha=0.15)
    axis.set(xlabel=bins.title, ylabel="mean ± deviation of train, dB")
