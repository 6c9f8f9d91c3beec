"""Evaluation: scores dev and eval with a trained model and writes score files, metrics, plot data and pictures.

Threshold, calibration and abstain band come from dev through the bundle; eval is only reported. Everything is derived from
scores joined to labels by utterance id.
"""

import csv
import io
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle
from model.dataset import scoring_batches
from model.errors import ModelError
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
    reliability_diagram,
    summarise,
)
from model.params import EvaluateParams
from model.scoring.scorer import ClipScorer, labelled_scores, split_trials
from pipeline.corpus.schema import BONA_FIDE, SPOOF
from pipeline.files import atomic_path, atomic_write, write_json
from pipeline.store import FeatureStore
from pipeline.store.plots import label_bins

SPLITS: Final = ("dev", "eval")
METRICS_FILE: Final = "metrics.json"
SCORES_FOLDER: Final = "scores"
PLOTS_FOLDER: Final = "plots"
BREAKDOWNS_FOLDER: Final = "breakdowns"
EXAMPLES_FILE: Final = "examples.png"
_MAX_POINTS: Final = 400
_HISTOGRAM_BINS: Final = 40
_PLOT_DIGITS: Final = 6
_EXAMPLES_PER_CLASS: Final = 2
_SEED: Final = 0
# Hundreds of speakers with a thousand resamples each would take longer than the rest.
_BREAKDOWN_RESAMPLES: Final = 200

Cluster = Literal["speaker", "attack"]
Record = dict[str, Any]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
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
) -> Evaluation:
    """Evaluates a model on dev and eval.

    Args:
        store: A feature store of the bundle's front end.
        bundle: The model.
        params: Batch size, intervals, prior, abstain band.
        output: Folder to write to; its former scores and plots are removed.
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
    trials = {split: split_trials(store, split) for split in SPLITS}
    trials = {split: rows for split, rows in trials.items() if rows}
    if not trials:
        raise ModelError(f"{store.storage.url} holds neither dev nor eval clips: nothing to evaluate")
    (output / METRICS_FILE).unlink(missing_ok=True)
    for folder in (SCORES_FOLDER, PLOTS_FOLDER, BREAKDOWNS_FOLDER):
        shutil.rmtree(output / folder, ignore_errors=True)

    development = bundle.development
    band = abstain_band(development.bonafide, development.spoof, params.abstain_error_rate)
    scorer = ClipScorer(bundle.network)
    metrics: dict[str, Any] = {"abstain_band": {"low": band.low, "high": band.high}}
    unlabelled: list[str] = []
    notes: list[str] = []
    for split, rows in trials.items():
        logits = scorer.logits(scoring_batches(store, split, scorer.n_frames, params.batch_size))
        scores = {name: float(bundle.calibration.apply(logit)) for name, logit in logits.items()}
        write_scores(output / SCORES_FOLDER / f"{split}.txt", rows, scores)
        scored(split)
        if all(row["label"] is None for row in rows):
            metrics[split] = {"n_trials": len(rows)}
            unlabelled.append(split)
            continue
        table = labelled_scores(rows, scores, split)
        metrics[split] = summarise(
            table,
            threshold=bundle.threshold,
            asv=_asv_scores(params, split),
            n_resamples=params.intervals,
            cluster=_cluster(params),
            seed=_SEED,
        )
        metrics[split] |= _extras(table, labelled_scores(rows, logits, split), band)
        metrics[split]["correlation"] = correlations(table, rows)
        if split == "eval" and audio is not None:
            names = table.utterance_ids.tolist()
            try:
                trimmed = trimmed_logits(bundle, scorer, audio, names, params.batch_size, audited)
            except ModelError as error:
                notes.append(f"no shortcut audit: {error}")
            else:
                llrs = {name: float(bundle.calibration.apply(logit)) for name, logit in trimmed.logits.items()}
                other = labelled_scores(rows, llrs, f"{split}, silence cut off")
                figures = compare_trimmed(table, other, params.intervals, _cluster(params), _SEED)
                metrics[split]["trimmed"] = figures | {"n_unchanged": trimmed.n_unchanged}
        write_breakdowns(output / BREAKDOWNS_FOLDER / split, table, rows, bundle.threshold, params.intervals)
        for name, records in plots(table, bundle.threshold, params.prior, metrics[split]["per_attack"]).items():
            write_json(output / PLOTS_FOLDER / split / f"{name}.json", records)
    draw_examples(store, output / PLOTS_FOLDER / EXAMPLES_FILE)
    write_json(output / METRICS_FILE, metrics)
    return Evaluation(metrics, unlabelled, notes)


def write_breakdowns(
    folder: Path, table: ScoreTable, trials: Iterable[Mapping[str, Any]], threshold: float, n_resamples: int
) -> None:
    """Writes attack.csv, speaker.csv and duration.csv: counts and error rates (fractions) of each part, the worst first.

    The EER and its interval are empty where a part lacks a class; speakers are left out where the corpus does not tell them.
    """
    durations = {row["utterance_id"]: row["duration_s"] for row in trials}
    options = {"threshold": threshold, "n_resamples": min(n_resamples, _BREAKDOWN_RESAMPLES), "seed": _SEED}
    parts = {
        "attack": by_attack(table, **options),
        "duration": by_duration(table, [durations[name] for name in table.utterance_ids.tolist()], **options),
    }
    if len(set(table.speaker_ids.tolist())) > 1:
        parts["speaker"] = by_speaker(table, **options)
    for name, rows in parts.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([name, "n_bonafide", "n_spoof", "eer", "eer_ci95_low", "eer_ci95_high", "miss", "false_alarm"])
        for part in rows:
            interval = part.eer_interval or (None, None)
            rates = (part.eer, *interval, part.miss, part.false_alarm)
            shown = ("" if rate is None else round(rate, _PLOT_DIGITS) for rate in rates)
            writer.writerow([part.name, part.n_bonafide, part.n_spoof, *shown])
        atomic_write(folder / f"{name}.csv", text.getvalue())


def write_scores(path: Path, trials: Iterable[Mapping[str, Any]], scores: Mapping[str, float]) -> None:
    """Writes `utterance_id attack_id label score` for each trial, in their order; "-" stands for what is not known."""
    rows = list(trials)
    text = format_scores(
        [row["utterance_id"] for row in rows],
        [scores[row["utterance_id"]] for row in rows],
        [row["attack_id"] or "-" for row in rows],
        [row["label"] for row in rows],
    )
    atomic_write(path, text)


def plots(
    table: ScoreTable, threshold: float, prior: float, per_attack: Mapping[str, Mapping[str, float]]
) -> dict[str, list[Record]]:
    """The data of every plot of one split, as records for DVC's templates.

    Args:
        table: Log-likelihood ratios.
        threshold: From which a clip is called bona fide.
        prior: Of bona fide, for the calibration curve.
        per_attack: `per_attack` of the split's metrics.

    Returns:
        `roc` (false_alarm, hit), `precision_recall` (recall, precision), `det` (the rates and their normal deviates),
        `confusion` (actual, predicted: one record per trial), `score_histogram` (score, bona_fide and spoof as share per
        bin), `calibration` (predicted, observed) and `per_attack_eer` (attack, eer). Rates are fractions; curves are thinned
        to a few hundred points.
    """
    curve = table.curve
    points = _thinned(len(curve.miss))
    miss, false_alarm = curve.miss[points], curve.false_alarm[points]
    accepted = (1 - miss) * curve.n_bonafide + false_alarm * curve.n_spoof
    some = accepted > 0
    precision = (1 - miss[some]) * curve.n_bonafide / accepted[some]
    # The ends of the DET curve lie at infinity.
    inner = (miss > 0) & (miss < 1) & (false_alarm > 0) & (false_alarm < 1)
    names = {BONA_FIDE: "bona fide", SPOOF: "spoof"}
    predicted = np.where(table.scores >= threshold, BONA_FIDE, SPOOF)
    return {
        "roc": _records(false_alarm=false_alarm[::-1], hit=1 - miss[::-1]),
        "precision_recall": _records(recall=1 - miss[some][::-1], precision=precision[::-1]),
        "det": _records(
            false_alarm=false_alarm[inner][::-1],
            miss=miss[inner][::-1],
            false_alarm_deviate=_normal_deviates(false_alarm[inner][::-1]),
            miss_deviate=_normal_deviates(miss[inner][::-1]),
        ),
        "confusion": [
            {"actual": names[actual], "predicted": names[guess]}
            for actual, guess in sorted(zip(table.labels.tolist(), predicted.tolist(), strict=True), reverse=True)
        ],
        "score_histogram": _histogram(table),
        "calibration": _calibration(table, prior),
        "per_attack_eer": [{"attack": name, "eer": figures["eer"]} for name, figures in sorted(per_attack.items())],
    }


def draw_examples(store: FeatureStore, target: Path) -> None:
    """Draws spectrograms of a few dev clips of each class, the first by utterance id, on one scale."""
    from matplotlib.figure import Figure

    shown = {
        label: [row["utterance_id"] for row in split_trials(store, "dev") if row["label"] == label][
            :_EXAMPLES_PER_CLASS
        ]
        for label in (BONA_FIDE, SPOOF)
    }
    features = store.features
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(2, _EXAMPLES_PER_CLASS, squeeze=False, sharey=True)
    for row, (label, title) in zip(axes, ((BONA_FIDE, "bona fide"), (SPOOF, "spoof")), strict=True):
        for axis in row[len(shown[label]) :]:
            axis.set_axis_off()
        for axis, name in zip(row, shown[label], strict=False):
            example = store.get(name)
            seconds = len(example.features) * features.hop_length / features.sample_rate
            image = axis.imshow(
                example.features.T.astype(np.float32),
                origin="lower",
                aspect="auto",
                extent=(0, seconds, -0.5, features.n_bins - 0.5),
                vmin=features.floor_db,
                vmax=20,
                cmap="magma",
            )
            attack = f", {example.attack_id}" if example.attack_id else ""
            axis.set_title(f"{title}{attack}: {name}", fontsize=9)
            axis.set_xlabel("seconds", fontsize=8)
        label_bins(row[0], features)
    if any(shown.values()):
        figure.colorbar(image, ax=axes, label="dB", shrink=0.8)
    with atomic_path(target) as temporary:
        # Without the library's version in it, a picture changes when what it shows does.
        figure.savefig(temporary, dpi=72, metadata={"Software": None})


def _extras(table: ScoreTable, uncalibrated: ScoreTable, band: AbstainBand) -> dict[str, float]:
    verdicts = band.verdicts(table.scores)
    return {
        "cllr_before_calibration": cllr(uncalibrated.bonafide, uncalibrated.spoof),
        "uncertain": float(np.mean((verdicts != BONA_FIDE) & (verdicts != SPOOF))),
    }


def _asv_scores(params: EvaluateParams, split: str) -> AsvScores | None:
    path = params.asv_scores.dev if split == "dev" else params.asv_scores.eval
    return None if path is None else read_asv_scores(Path(path))


def _cluster(params: EvaluateParams) -> Cluster | None:
    return None if params.interval_clusters == "none" else params.interval_clusters


def _records(**columns: FloatArray) -> list[Record]:
    rows = zip(*(column.round(_PLOT_DIGITS).tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _thinned(n_points: int) -> npt.NDArray[np.intp]:
    """At most `_MAX_POINTS` places, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, n_points - 1, min(n_points, _MAX_POINTS)).round().astype(np.intp))


def _normal_deviates(rates: FloatArray) -> FloatArray:
    """The scale of a DET plot: the inverse of the normal distribution function."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(rate) for rate in rates.tolist()])


def _histogram(table: ScoreTable) -> list[Record]:
    edges = np.linspace(table.scores.min(), table.scores.max(), _HISTOGRAM_BINS + 1)
    shares = [np.histogram(scores, edges)[0] / len(scores) for scores in (table.bonafide, table.spoof)]
    return _records(score=(edges[:-1] + edges[1:]) / 2, bona_fide=shares[0], spoof=shares[1])


def _calibration(table: ScoreTable, prior: float) -> list[Record]:
    diagram = reliability_diagram(table.bonafide, table.spoof, prior=prior)
    filled = np.isfinite(diagram.predicted)
    return _records(predicted=diagram.predicted[filled], observed=diagram.observed[filled])
