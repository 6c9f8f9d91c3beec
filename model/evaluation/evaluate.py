"""Evaluation: scores dev, eval and further test sets with a trained model, writes score files, metrics, plot data and pictures.

Threshold, calibration and abstain band come from dev through the bundle; eval is only reported. Everything is derived from
scores joined to labels by utterance id.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from model.artifacts import (
    BREAKDOWNS_FOLDER,
    DETAILS_FILE,
    EVALUATED_SPLITS,
    EXAMPLES_PICTURE,
    HEADLINES_FOLDER,
    METRICS_FILE,
    PLOTS_FOLDER,
    REJECTS_FOLDER,
    ROBUSTNESS_FILE,
    SCORES_FOLDER,
    scores_file,
)
from model.bundle import Bundle
from model.dataset import scoring_batches
from model.errors import ModelError
from model.evaluation.audio import Audio
from model.evaluation.corpora import FurtherCorpus, score_corpus, write_rejects
from model.evaluation.curves import plots
from model.evaluation.evaluation_files import (
    draw_examples,
    write_breakdowns,
    write_empty_plots,
    write_metrics,
    write_plots,
    write_robustness,
    write_scores,
)
from model.evaluation.robustness import Robustness, choose_clips, measure_robustness
from model.evaluation.shortcut_audit import compare_trimmed, correlations, trimmed_logits
from model.evaluation.split_metrics import CORPORA, SEED, cluster_of, split_metrics, trained_attacks
from model.metrics import AbstainBand, ScoreTable, abstain_band, band_outcomes
from model.params import EvaluateParams
from model.scoring.clip_scores import ClipScores
from model.scoring.scorer import ClipScorer, Trials, labelled_scores, split_trials
from pipeline.files import replaced_folder
from pipeline.store import FeatureStore

_FILES: Final = (
    *(METRICS_FILE, DETAILS_FILE, ROBUSTNESS_FILE, HEADLINES_FOLDER),
    *(SCORES_FOLDER, PLOTS_FOLDER, BREAKDOWNS_FOLDER, REJECTS_FOLDER),
)


@dataclass
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        metrics: The content of details.json.
        unlabelled: Splits and test sets that have scores only.
        notes: What was left out, and why.
        robustness: The robustness table of eval, or None.
    """

    metrics: dict[str, Any]
    unlabelled: list[str]
    notes: list[str]
    robustness: Robustness | None = None


def _ignore(name: str, count: int) -> None:
    """Reports no progress."""


@dataclass(frozen=True)
class Progress:
    """What an evaluation tells on the way.

    Attributes:
        scored: Told each split once its clips are scored.
        counted: Told how many more clips are done of "audit", of "robustness", or of a further test set by its name.
    """

    scored: Callable[[str], None] = lambda split: None
    counted: Callable[[str, int], None] = _ignore


def evaluate(
    store: FeatureStore,
    bundle: Bundle,
    params: EvaluateParams,
    output: Path,
    audio: Audio | None = None,
    corpora: Sequence[FurtherCorpus] = (),
    progress: Progress | None = None,
) -> EvaluationResult:
    """Evaluates a model on dev, eval and further test sets.

    Args:
        store: A feature store of the bundle's front end.
        bundle: The model.
        params: Batch size, intervals, prior, abstain band.
        output: Folder to write to. An earlier evaluation stays until this one is whole, then goes.
        audio: The clips, for the shortcut audit and the robustness table of eval; None leaves out both.
        corpora: The further test sets.
        progress: What is told on the way.

    Raises:
        ModelError: The store has another front end, or neither dev nor eval clips; or no test set has a field of `breakdowns`.
        MetricsError: ASV scores belong to another corpus.
        OSError: The folder holds files that are not an evaluation's, or another process writes it.

    Warns:
        InvertedLabelsWarning: An EER is above 50 %.
    """
    trials = _trials(bundle, store)
    _require_fields(params, [*trials.values(), *(Trials.of_table(corpus.clips) for corpus in corpora)])
    judge = _Judge(bundle, ClipScorer(bundle.network), params, trained_attacks(store), progress or Progress())
    with replaced_folder(output, _FILES) as folder:
        result = EvaluationResult({"abstain_band": judge.described_band()}, [], [])
        write_empty_plots(folder)
        for split, rows in trials.items():
            _evaluate_split(judge, store, split, rows, audio, result, folder)
        found = {corpus.name: _evaluate_corpus(judge, corpus, result, folder) for corpus in corpora}
        if found:
            result.metrics[CORPORA] = found
        draw_examples(store, folder / EXAMPLES_PICTURE)
        write_metrics(folder, result.metrics)
    return result


@dataclass(frozen=True)
class _Judge:
    """What all splits and test sets are judged by."""

    bundle: Bundle
    scorer: ClipScorer
    params: EvaluateParams
    trained: frozenset[str]
    progress: Progress

    @cached_property
    def band(self) -> AbstainBand:
        """The uncertain band, chosen on the trials that threshold and calibration come from."""
        table = self.bundle.development
        return abstain_band(table.bonafide, table.spoof, self.params.abstain_error_rate)

    def described_band(self) -> dict[str, Any]:
        """The band, and what it does to the trials that it was chosen on."""
        return asdict(self.band) | {"chosen_on": band_outcomes(self.band, self.bundle.development)}

    def told(self, name: str) -> Callable[[int], None]:
        """Tells how many more clips of something are done."""
        return lambda count: self.progress.counted(name, count)

    def calibrated(self, logits: Mapping[str, float]) -> ClipScores:
        """Log-likelihood ratios from logits."""
        return ClipScores(logits.items()).map(self.bundle.calibration.apply)


def _evaluate_split(
    judge: _Judge,
    store: FeatureStore,
    split: str,
    rows: Trials,
    audio: Audio | None,
    result: EvaluationResult,
    output: Path,
) -> None:
    """Writes the files of dev or eval but for the metrics, which go to the result."""
    logits = judge.scorer.logits(scoring_batches(store, split, judge.scorer.n_frames, judge.params.batch_size))
    judge.progress.scored(split)
    figures, table = _judged(judge, split, rows, logits, result, output, judge.trained)
    result.metrics[split] = figures
    if table is None or not table.has_both_classes:
        return
    figures["correlation"] = correlations(table, rows)
    if split == "eval" and audio is not None:
        try:
            figures["trimmed"] = _audit(judge, audio, table, rows)
            if judge.params.robustness_clips:
                result.robustness = _robustness(judge, audio, rows)
                figures["robustness"] = write_robustness(output, result.robustness)
        except ModelError as error:
            result.notes.append(f"no shortcut audit and no robustness table: {error}")
    write_plots(output, split, plots(table, judge.bundle.threshold, judge.params.prior, figures["per_attack"]))


def _evaluate_corpus(judge: _Judge, corpus: FurtherCorpus, result: EvaluationResult, output: Path) -> dict[str, Any]:
    """Writes the files of a further test set, and gives its metrics."""
    scored = score_corpus(judge.bundle, judge.scorer, corpus, judge.params.batch_size, judge.told(corpus.name))
    write_rejects(output, corpus.name, scored.rejects)
    if scored.rejects:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in scored.reasons.items())
        result.notes.append(f"{corpus.name}: {len(scored.rejects):,} clips have no score ({reasons})")
    rejected = {"n_rejected": len(scored.rejects)}
    if not len(scored.trials):
        return {"n_trials": 0} | rejected
    trained = judge.trained if corpus.same_attack_ids else frozenset[str]()
    return _judged(judge, corpus.name, scored.trials, scored.logits, result, output, trained)[0] | rejected


def _judged(
    judge: _Judge,
    name: str,
    rows: Trials,
    logits: ClipScores,
    result: EvaluationResult,
    output: Path,
    trained: frozenset[str],
) -> tuple[dict[str, Any], ScoreTable | None]:
    """Writes scores and breakdowns of a split or test set; gives its metrics and, if it has labels, its table."""
    write_scores(output / scores_file(name), rows, scores := judge.calibrated(logits))
    if all(row["label"] is None for row in rows):
        result.unlabelled.append(name)
        return {"n_trials": len(rows)}, None
    table, uncalibrated = labelled_scores(rows, scores, name), labelled_scores(rows, logits, name)
    figures = split_metrics(name, table, uncalibrated, judge.bundle.threshold, judge.band, judge.params, trained)
    if not table.has_both_classes:
        result.notes.append(f"{name} holds one class: it has an error rate at the threshold from dev and no EER")
    elif table.is_constant:
        result.notes.append(
            f"{name}: the network gives one value for every clip, which is an EER of 50 %: it tells nothing. "
            "Train it again with a lower train.learning_rate"
        )
    write_breakdowns(output, name, table, rows, judge.bundle.threshold, judge.params)
    return figures, table


def _trials(bundle: Bundle, store: FeatureStore) -> dict[str, Trials]:
    """The trials of every evaluated split that has some; raises as `evaluate` does."""
    bundle.require_front_end_of(store)
    trials = {split: rows for split in EVALUATED_SPLITS if (rows := split_trials(store, split))}
    if not trials:
        raise ModelError(f"{store.storage.url} holds neither dev nor eval clips: nothing to evaluate")
    return trials


def _require_fields(params: EvaluateParams, test_sets: Iterable[Trials]) -> None:
    """Refuses a field of `breakdowns` that no test set has; raises `ModelError`."""
    if not params.breakdowns:
        return
    known = {name for trials in test_sets for name in trials.field_names()}
    if unknown := sorted(set(params.breakdowns) - known):
        raise ModelError(
            f"evaluate.breakdowns: {', '.join(unknown)}: no test set has such a field; there "
            f"{'are ' + ', '.join(sorted(known)) if known else 'is none'}"
        )


def _audit(judge: _Judge, audio: Audio, table: ScoreTable, rows: Trials) -> dict[str, float]:
    """The EER of a split's clips without the silence at both ends.

    Raises:
        ModelError: The audio is not that of the manifest any more.
    """
    params = judge.params
    names = (str(name) for name in table.utterance_ids)
    trimmed = trimmed_logits(judge.bundle, judge.scorer, audio, names, params.batch_size, judge.told("audit"))
    other = labelled_scores(rows, judge.calibrated(trimmed.logits), f"{table.source}, silence cut off")
    figures = compare_trimmed(table, other, params.intervals, cluster_of(table, params), SEED)
    return figures | {"n_unchanged": trimmed.n_unchanged}


def _robustness(judge: _Judge, audio: Audio, rows: Trials) -> Robustness:
    """The robustness table of eval.

    Raises:
        ModelError: The audio is not that of the manifest any more.
    """
    params = judge.params
    return measure_robustness(
        judge.bundle,
        judge.scorer,
        audio,
        "eval",
        choose_clips(rows, params.robustness_clips),
        judge.band,
        params.batch_size,
        params.intervals,
        "auto" if params.interval_clusters != "none" else None,
        scored=judge.told("robustness"),
    )
