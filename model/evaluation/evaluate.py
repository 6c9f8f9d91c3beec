"""Evaluation: scores dev and eval with a trained model and writes score files, metrics, plot data and pictures.

Threshold, calibration and abstain band come from dev through the bundle; eval is only reported. Everything is derived from
scores joined to labels by utterance id.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from model.artifacts import (
    BREAKDOWNS_FOLDER,
    DETAILS_FILE,
    EVALUATED_SPLITS,
    EXAMPLES_PICTURE,
    METRICS_FILE,
    PLOTS_FOLDER,
    ROBUSTNESS_FILE,
    SCORES_FOLDER,
    scores_file,
)
from model.bundle import Bundle
from model.dataset import scoring_batches
from model.errors import ModelError
from model.evaluation.audio import Audio
from model.evaluation.curves import plots
from model.evaluation.evaluation_files import (
    draw_examples,
    write_breakdowns,
    write_plots,
    write_robustness,
    write_scores,
)
from model.evaluation.robustness import Robustness, choose_clips, measure_robustness
from model.evaluation.shortcut_audit import compare_trimmed, correlations, trimmed_logits
from model.evaluation.split_metrics import SEED, cluster_of, split_metrics, tracked, trained_attacks
from model.metrics import AbstainBand, ScoreTable, abstain_band
from model.params import EvaluateParams
from model.scoring.clip_scores import ClipScores
from model.scoring.scorer import ClipScorer, Trials, labelled_scores, split_trials
from pipeline.files import replaced_folder, write_json
from pipeline.store import FeatureStore

_FILES: Final = (METRICS_FILE, DETAILS_FILE, ROBUSTNESS_FILE, SCORES_FOLDER, PLOTS_FOLDER, BREAKDOWNS_FOLDER)


@dataclass
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        metrics: The content of details.json.
        unlabelled: Splits that have scores only.
        notes: What was left out, and why.
        robustness: The robustness table of eval, or None.
    """

    metrics: dict[str, Any]
    unlabelled: list[str]
    notes: list[str]
    robustness: Robustness | None = None


def evaluate(
    store: FeatureStore,
    bundle: Bundle,
    params: EvaluateParams,
    output: Path,
    audio: Audio | None = None,
    scored: Callable[[str], None] = lambda split: None,
    audited: Callable[[int], None] = lambda count: None,
    degraded: Callable[[int], None] = lambda count: None,
) -> EvaluationResult:
    """Evaluates a model on dev and eval.

    Args:
        store: A feature store of the bundle's front end.
        bundle: The model.
        params: Batch size, intervals, prior, abstain band.
        output: Folder to write to. An earlier evaluation stays until this one is whole, then goes.
        audio: The clips, for the shortcut audit and the robustness table of eval; None leaves out both.
        scored: Told each split once its clips are scored.
        audited: Told how many more clips the audit has scored.
        degraded: Told how many more clips of the robustness table are scored under every condition.

    Raises:
        ModelError: The store has another front end, or neither dev nor eval clips.
        MetricsError: A labelled split lacks a class.
        OSError: The folder holds files that are not an evaluation's, or another process writes it.

    Warns:
        InvertedLabelsWarning: An EER is above 50 %.
    """
    trials = _trials(bundle, store)
    with replaced_folder(output, _FILES) as folder:
        return _evaluate(store, bundle, params, trials, folder, audio, scored, audited, degraded)


def _evaluate(
    store: FeatureStore,
    bundle: Bundle,
    params: EvaluateParams,
    trials: Mapping[str, Trials],
    output: Path,
    audio: Audio | None,
    scored: Callable[[str], None],
    audited: Callable[[int], None],
    degraded: Callable[[int], None],
) -> EvaluationResult:
    """As `evaluate`, to an empty folder."""
    band = abstain_band(bundle.development.bonafide, bundle.development.spoof, params.abstain_error_rate)
    scorer = ClipScorer(bundle.network)
    trained = trained_attacks(store)
    result = EvaluationResult({"abstain_band": asdict(band)}, [], [])
    for split, rows in trials.items():
        logits = scorer.logits(scoring_batches(store, split, scorer.n_frames, params.batch_size))
        write_scores(output / scores_file(split), rows, scores := _calibrated(bundle, logits))
        scored(split)
        if all(row["label"] is None for row in rows):
            result.metrics[split] = {"n_trials": len(rows)}
            result.unlabelled.append(split)
            continue
        table, uncalibrated = labelled_scores(rows, scores, split), labelled_scores(rows, logits, split)
        figures = split_metrics(split, table, uncalibrated, bundle.threshold, band, params, trained)
        figures["correlation"] = correlations(table, rows)
        if split == "eval" and audio is not None:
            try:
                figures["trimmed"] = _audit(bundle, scorer, audio, table, rows, params, audited)
                if params.robustness_clips:
                    result.robustness = _robustness(bundle, scorer, audio, rows, band, params, degraded)
                    figures["robustness"] = write_robustness(output, result.robustness)
            except ModelError as error:
                result.notes.append(f"no shortcut audit and no robustness table: {error}")
        write_breakdowns(output, split, table, rows, bundle.threshold, params.intervals)
        write_plots(output, split, plots(table, bundle.threshold, params.prior, figures["per_attack"]))
        result.metrics[split] = figures
    draw_examples(store, output / EXAMPLES_PICTURE)
    _write_metrics(output, result.metrics)
    return result


def _trials(bundle: Bundle, store: FeatureStore) -> dict[str, Trials]:
    """The trials of every evaluated split that has some; raises as `evaluate` does."""
    bundle.require_front_end_of(store)
    trials = {split: rows for split in EVALUATED_SPLITS if (rows := split_trials(store, split))}
    if not trials:
        raise ModelError(f"{store.storage.url} holds neither dev nor eval clips: nothing to evaluate")
    return trials


def _write_metrics(output: Path, metrics: Mapping[str, Any]) -> None:
    """Writes details.json with all metrics, and metrics.json with the few that DVC tracks."""
    write_json(output / DETAILS_FILE, metrics)
    write_json(output / METRICS_FILE, tracked(metrics))


def _calibrated(bundle: Bundle, logits: Mapping[str, float]) -> ClipScores:
    """Log-likelihood ratios from logits."""
    return ClipScores(logits.items()).map(bundle.calibration.apply)


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
    figures = compare_trimmed(table, other, params.intervals, cluster_of(params), SEED)
    return figures | {"n_unchanged": trimmed.n_unchanged}


def _robustness(
    bundle: Bundle,
    scorer: ClipScorer,
    audio: Audio,
    rows: Trials,
    band: AbstainBand,
    params: EvaluateParams,
    degraded: Callable[[int], None],
) -> Robustness:
    """The robustness table of eval.

    Raises:
        ModelError: The audio is not that of the manifest any more.
    """
    chosen = choose_clips(rows, params.robustness_clips)
    return measure_robustness(
        bundle, scorer, audio, "eval", chosen, band, params.batch_size, params.intervals, scored=degraded
    )
