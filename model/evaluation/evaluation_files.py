"""The files of an evaluation beside metrics and plots: scores, breakdowns, the robustness table and example spectrograms."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.artifacts import (
    DETAILS_FILE,
    EVALUATED_SPLITS,
    METRICS_FILE,
    ROBUSTNESS_FILE,
    breakdown_file,
    headlines_file,
    plot_file,
)
from model.evaluation.curves import PLOTS, Record
from model.evaluation.robustness import Robustness
from model.evaluation.split_metrics import SEED, headline_rows, tracked
from model.metrics import (
    ScoreTable,
    by_attack,
    by_duration,
    by_group,
    by_speaker,
    format_scores,
)
from model.params import EvaluateParams
from model.scoring.scorer import Trials, split_trials, trial_values
from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_name
from pipeline.files import atomic_write, write_json
from pipeline.store import Example, FeatureStore
from pipeline.store.figures import new_figure, save_png
from pipeline.store.plots import draw_spectrogram, label_bins
from pipeline.text import csv_cell, printable

_BREAKDOWN_DIGITS: Final = 6
# A field with more values is a name of something rather than a condition.
_MOST_GROUPS: Final = 64
_EXAMPLES_PER_CLASS: Final = 2
# Hundreds of speakers with a thousand resamples each would take longer than the rest.
_BREAKDOWN_RESAMPLES: Final = 200
_TRIALS_AT_ONCE: Final = 512
_ROBUSTNESS_PLOT: Final = "robustness"


def write_breakdowns(
    folder: Path,
    split: str,
    table: ScoreTable,
    trials: Trials,
    threshold: float,
    params: EvaluateParams,
) -> None:
    """Writes attack.csv, speaker.csv, duration.csv and one file for each field of the protocol: the worst part first.

    A row has counts and error rates (fractions). `split` may be a further test set. The EER and its interval are empty where a
    part lacks a class; speakers are left out where the corpus does not tell them.

    Args:
        folder: Of the evaluation.
        split: Name of the split or test set.
        table: The scores.
        trials: The labelled trials of the table, in its order, and maybe unlabelled ones.
        threshold: Of dev.
        params: Resamples of the intervals, and the fields.
    """
    options = {"threshold": threshold, "n_resamples": min(params.intervals, _BREAKDOWN_RESAMPLES), "seed": SEED}
    parts = {
        "attack": by_attack(table, **options),
        "duration": by_duration(table, trial_values(trials, table, ["duration_s"])[0], **options),
    }
    if np.any(table.speaker_ids != table.speaker_ids[0]):
        parts["speaker"] = by_speaker(table, **options)
    labelled = trials.labelled()
    for field in labelled.field_names():
        groups = labelled.strings(field)
        if field in params.breakdowns if params.breakdowns is not None else len(np.unique(groups)) <= _MOST_GROUPS:
            # A name from a table may be no file name, or that of another breakdown.
            name = re.sub(r"[^\w-]", "_", field)
            parts[f"protocol_{name}" if name in parts else name] = by_group(table, groups, **options)
    for name, rows in parts.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([name, "n_bonafide", "n_spoof", "eer", "eer_ci95_low", "eer_ci95_high", "miss", "false_alarm"])
        for part in rows:
            interval = part.eer_interval or (None, None)
            rates = (part.eer, *interval, part.miss, part.false_alarm)
            shown = ("" if rate is None else round(rate, _BREAKDOWN_DIGITS) for rate in rates)
            writer.writerow([csv_cell(part.name), part.n_bonafide, part.n_spoof, *shown])
        atomic_write(folder / breakdown_file(split, name), text.getvalue())


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Writes details.json with all metrics, metrics.json with the headlines, and a file for each row of `dvc metrics show`."""
    write_json(folder / DETAILS_FILE, metrics)
    write_json(folder / METRICS_FILE, tracked(metrics))
    for name, row in headline_rows(metrics):
        write_json(folder / headlines_file(name), row)


def write_empty_plots(folder: Path) -> None:
    """Writes the plots of every split without records: `dvc plots` takes a file that is missing for an error."""
    for split in EVALUATED_SPLITS:
        write_plots(folder, split, {name: [] for name in PLOTS})
    write_plots(folder, "eval", {_ROBUSTNESS_PLOT: []})


def write_plots(folder: Path, split: str, records: Mapping[str, list[Record]]) -> None:
    """Writes the data of each plot of a split."""
    for name, of_plot in records.items():
        write_json(folder / plot_file(split, name), of_plot)


def write_robustness(folder: Path, robustness: Robustness) -> dict[str, float]:
    """Writes robustness.json and its EERs as the data of a plot, and gives its scalars for metrics.json."""
    records = [{"condition": row.title, "eer": row.eer} for row in robustness.conditions]
    write_plots(folder, robustness.split, {_ROBUSTNESS_PLOT: records})
    write_json(folder / ROBUSTNESS_FILE, robustness.as_dict())
    return robustness.headlines()


def write_scores(path: Path, trials: Iterable[Mapping[str, Any]], scores: Mapping[str, float]) -> None:
    """Writes `utterance_id attack_id label score` for each trial, in their order; "-" marks what is unknown."""
    atomic_write(path, _score_lines(trials, scores))


def _score_lines(trials: Iterable[Mapping[str, Any]], scores: Mapping[str, float]) -> Iterator[str]:
    waiting = iter(trials)
    while rows := list(islice(waiting, _TRIALS_AT_ONCE)):
        columns = [(row["utterance_id"], row["attack_id"] or "-", row["label"]) for row in rows]
        utterance_ids, attack_ids, labels = zip(*columns, strict=True)
        yield format_scores(utterance_ids, [scores[name] for name in utterance_ids], attack_ids, labels)


def draw_examples(store: FeatureStore, target: Path) -> None:
    """Draws spectrograms of a few dev clips of each class, the first by utterance id, on one scale."""
    shown = {label: [*islice(_examples(store, label), _EXAMPLES_PER_CLASS)] for label in (BONA_FIDE, SPOOF)}
    loudest = max((float(example.features.max()) for examples in shown.values() for example in examples), default=0.0)
    figure = new_figure(9, 5)
    axes = figure.subplots(2, _EXAMPLES_PER_CLASS, squeeze=False, sharey=True)
    for row, (label, examples) in zip(axes, shown.items(), strict=True):
        for axis in row[len(examples) :]:
            axis.set_axis_off()
        for axis, example in zip(row, examples, strict=False):
            image = draw_spectrogram(axis, example, store.features, vmin=store.features.floor_db, vmax=loudest)
            attack = f", {example.attack_id}" if example.attack_id else ""
            axis.set_title(printable(f"{label_name(label)}{attack}: {example.utterance_id}"), fontsize=9)
        label_bins(row[0], store.features)
    if any(shown.values()):
        figure.colorbar(image, ax=axes, label="dB", shrink=0.8)
    save_png(figure, target)


def _examples(store: FeatureStore, label: int) -> Iterator[Example]:
    """The dev clips of a class, by utterance id."""
    for row in split_trials(store, "dev"):
        if row["label"] == label:
            # Narrowed to one row: a store that is asked for a clip makes a dictionary of all of its rows.
            yield store.select(utterance_id=row["utterance_id"], copy=0).get(row["utterance_id"])
