"""Evaluation: scores dev and eval with a trained model and writes score files, metrics, plot data and pictures.

Threshold, calibration and abstain band come from dev through the bundle; eval is only reported. Everything is derived from
scores joined to labels by utterance id.
"""

import csv
import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from model.artifacts import (
    BREAKDOWNS_FOLDER,
    EVALUATED_SPLITS,
    EXAMPLES_PICTURE,
    METRICS_FILE,
    PLOTS_FOLDER,
    SCORES_FOLDER,
    breakdown_file,
    plot_file,
    scores_file,
)
from model.bundle import Bundle
from model.dataset import scoring_batches
from model.errors import ModelError
from model.evaluation.curves import plots
from model.evaluation.shortcut_audit import Audio, compare_trimmed, correlations, trimmed_logits
from model.metrics import (
    AbstainBand,
    AsvScores,
    ScoreTable,
    abstain_band,
    by_attack,
    by_duration,
    by_speaker,
    cllr,
    format_scores,
    read_asv_scores,
    summarise,
)
from model.params import EvaluateParams
from model.scoring.clip_scores import ClipScores
from model.scoring.scorer import ClipScorer, Trials, labelled_scores, split_trials, trial_values
from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_name
from pipeline.files import atomic_write, write_json
from pipeline.store import Example, FeatureStore
from pipeline.store.figures import new_figure, save_png
from pipeline.store.plots import draw_spectrogram, label_bins

_BREAKDOWN_DIGITS: Final = 6
_EXAMPLES_PER_CLASS: Final = 2
_SEED: Final = 0
# Hundreds of speakers with a thousand resamples each would take longer than the rest.
_BREAKDOWN_RESAMPLES: Final = 200
_TRIALS_AT_ONCE: Final = 512

Cluster = Literal["speaker", "attack"]


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        metrics: The content of metrics.json.
        unlabelled: Splits that have scores only.
        notes: What was left out, and why.
    """

    metrics: dict[str, Any]
    unlabelled: list[str]
    notes: list[str]


def evaluate(
    store: FeatureStore,
    bundle: Bundle,
    params: EvaluateParams,
    output: Path,
    audio: Audio | None = None,
    scored: Callable[[str], None] = lambda split: None,
    audited: Callable[[int], None] = lambda count: None,
) -> EvaluationResult:
    """Evaluates a model on dev and eval.

    Args:
        store: A feature store of the bundle's front end.
        bundle: The model.
        params: Batch size, intervals, prior, abstain band.
        output: Folder to write to; the scores and plots of an earlier evaluation are removed.
        audio: The clips themselves, for the shortcut audit of eval; None leaves out what needs them.
        scored: Told each split once its clips are scored.
        audited: Told how many more clips the audit has scored.

    Raises:
        ModelError: The store has another front end, or neither dev nor eval clips.
        MetricsError: A labelled split lacks a class.

    Warns:
        InvertedLabelsWarning: An EER is above 50 %.
    """
    bundle.require_front_end_of(store)
    trials = {split: rows for split in EVALUATED_SPLITS if (rows := split_trials(store, split))}
    if not trials:
        raise ModelError(f"{store.storage.url} holds neither dev nor eval clips: nothing to evaluate")
    _remove_earlier(output)
    development = bundle.development
    band = abstain_band(development.bonafide, development.spoof, params.abstain_error_rate)
    scorer = ClipScorer(bundle.network)
    result = EvaluationResult({"abstain_band": {"low": band.low, "high": band.high}}, [], [])
    for split, rows in trials.items():
        logits = scorer.logits(scoring_batches(store, split, scorer.n_frames, params.batch_size))
        scores = _calibrated(bundle, logits)
        write_scores(output / scores_file(split), rows, scores)
        scored(split)
        if all(row["label"] is None for row in rows):
            result.metrics[split] = {"n_trials": len(rows)}
            result.unlabelled.append(split)
            continue
        table, uncalibrated = labelled_scores(rows, scores, split), labelled_scores(rows, logits, split)
        figures = _metrics(split, table, uncalibrated, bundle.threshold, band, params)
        figures["correlation"] = correlations(table, rows)
        if split == "eval" and audio is not None:
            try:
                figures["trimmed"] = _audit(bundle, scorer, audio, table, rows, params, audited)
            except ModelError as error:
                result.notes.append(f"no shortcut audit: {error}")
        write_breakdowns(output, split, table, rows, bundle.threshold, params.intervals)
        for name, records in plots(table, bundle.threshold, params.prior, figures["per_attack"]).items():
            write_json(output / plot_file(split, name), records)
        result.metrics[split] = figures
    draw_examples(store, output / EXAMPLES_PICTURE)
    write_json(output / METRICS_FILE, result.metrics)
    return result


def write_breakdowns(
    folder: Path,
    split: str,
    table: ScoreTable,
    trials: Iterable[Mapping[str, Any]],
    threshold: float,
    n_resamples: int,
) -> None:
    """Writes attack.csv, speaker.csv and duration.csv: counts and error rates (fractions) of each part, the worst first.

    The EER and its interval are empty where a part lacks a class; speakers are left out where the corpus does not tell them.
    """
    options = {"threshold": threshold, "n_resamples": min(n_resamples, _BREAKDOWN_RESAMPLES), "seed": _SEED}
    parts = {
        "attack": by_attack(table, **options),
        "duration": by_duration(table, trial_values(trials, table, ["duration_s"])[0], **options),
    }
    if np.any(table.speaker_ids != table.speaker_ids[0]):
        parts["speaker"] = by_speaker(table, **options)
    for name, rows in parts.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([name, "n_bonafide", "n_spoof", "eer", "eer_ci95_low", "eer_ci95_high", "miss", "false_alarm"])
        for part in rows:
            interval = part.eer_interval or (None, None)
            rates = (part.eer, *interval, part.miss, part.false_alarm)
            shown = ("" if rate is None else round(rate, _BREAKDOWN_DIGITS) for rate in rates)
            writer.writerow([part.name, part.n_bonafide, part.n_spoof, *shown])
        atomic_write(folder / breakdown_file(split, name), text.getvalue())


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
            axis.set_title(f"{label_name(label)}{attack}: {example.utterance_id}", fontsize=9)
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


def _remove_earlier(output: Path) -> None:
    """Removes an earlier evaluation; its metrics first, so that an interrupted run leaves none of other scores."""
    (output / METRICS_FILE).unlink(missing_ok=True)
    for folder in (SCORES_FOLDER, PLOTS_FOLDER, BREAKDOWNS_FOLDER):
        shutil.rmtree(output / folder, ignore_errors=True)


def _calibrated(bundle: Bundle, logits: Mapping[str, float]) -> ClipScores:
    """Log-likelihood ratios from logits."""
    return ClipScores(logits.items()).map(bundle.calibration.apply)


def _metrics(
    split: str,
    table: ScoreTable,
    uncalibrated: ScoreTable,
    threshold: float,
    band: AbstainBand,
    params: EvaluateParams,
) -> dict[str, Any]:
    """The metrics of one labelled split: those of `summarise`, and what calibration and the abstain band do to it."""
    figures: dict[str, Any] = summarise(
        table,
        threshold=threshold,
        asv=_asv_scores(params, split),
        n_resamples=params.intervals,
        cluster=_cluster(params),
        seed=_SEED,
    )
    verdicts = band.verdicts(table.scores)
    return figures | {
        "cllr_before_calibration": cllr(uncalibrated.bonafide, uncalibrated.spoof),
        "uncertain": float(np.mean((verdicts != BONA_FIDE) & (verdicts != SPOOF))),
    }


def _audit(
    bundle: Bundle,
    scorer: ClipScorer,
    audio: Audio,
    table: ScoreTable,
    rows: Trials,
    params: EvaluateParams,
    audited: Callable[[int], None],
) -> dict[str, float]:
    """The EER of a split's clips without the silence at both ends.

    Raises:
        ModelError: The audio is not that of the manifest any more.
    """
    trimmed = trimmed_logits(bundle, scorer, audio, table.utterance_ids.tolist(), params.batch_size, audited)
    other = labelled_scores(rows, _calibrated(bundle, trimmed.logits), f"{table.source}, silence cut off")
    figures = compare_trimmed(table, other, params.intervals, _cluster(params), _SEED)
    return figures | {"n_unchanged": trimmed.n_unchanged}


def _asv_scores(params: EvaluateParams, split: str) -> AsvScores | None:
    path = params.asv_scores.dev if split == "dev" else params.asv_scores.eval
    return None if path is None else read_asv_scores(Path(path))


def _cluster(params: EvaluateParams) -> Cluster | None:
    return None if params.interval_clusters == "none" else params.interval_clusters
