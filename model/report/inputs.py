"""Reads what the other stages wrote: metrics, plot data, scores, data validation, training curves, and the git revision.

The evaluation is required. The data validation and the training curves may be absent; their sections of the page say so then.
"""

import csv
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model.artifacts import (
    DETAILS_FILE,
    EVALUATED_SPLITS,
    ROBUSTNESS_FILE,
    VALIDATION_FILE,
    plot_file,
    scores_file,
    training_curve_file,
)
from model.errors import ModelError
from model.evaluation.split_metrics import CORPORA
from model.evaluation.validation_files import read_report
from model.metrics import ScoreTable, read_scores
from model.scoring.scorer import labelled_scores, split_trials
from pipeline.store import FeatureStore

CURVES: Final = ("loss", "eer", "auc", "accuracy")
_DECISIVE: Final = ("model", "pipeline", "params.yaml", "dvc.yaml")
_PLOTS: Final = ("roc", "precision_recall", "det", "score_histogram", "calibration")

Record = Mapping[str, Any]


@dataclass(frozen=True)
class EvaluatedSplit:
    """One labelled split of the evaluation.

    Attributes:
        split: "dev" or "eval".
        metrics: Its metrics, from details.json.
        plots: Records by name of the plot.
        table: Its scores.
    """

    split: str
    metrics: dict[str, Any]
    plots: dict[str, list[Record]]
    table: ScoreTable


@dataclass(frozen=True)
class EvaluationFiles:
    """The files of the evaluation.

    Attributes:
        splits: The splits with labels of both classes by name; dev before eval.
        unlabelled: Number of clips of each split without labels.
        one_class: Metrics of each split that holds one class.
        corpora: Metrics of each further test set.
        described_band: The uncertain band, and what it does to the trials that it was chosen on; empty without one.
    """

    splits: dict[str, EvaluatedSplit]
    unlabelled: dict[str, int]
    one_class: dict[str, dict[str, Any]]
    corpora: dict[str, dict[str, Any]]
    described_band: dict[str, Any]

    @property
    def abstain_band(self) -> tuple[float, float] | None:
        """Lowest and highest score of the uncertain band, or None."""
        band = self.described_band
        return (band["low"], band["high"]) if band else None

    @property
    def main(self) -> EvaluatedSplit:
        """The split of the conclusion: eval if it has both classes, else dev."""
        return self.splits.get("eval") or self.splits["dev"]


def read_evaluation(folder: Path, store: FeatureStore) -> EvaluationFiles:
    """Reads metrics, plot data and scores, and joins the scores to the store's clips.

    Raises:
        ModelError: There is no evaluation, it is damaged, no split of it has labels, or it scored other clips.
        MetricsError: A score file is damaged.
    """
    path = folder / DETAILS_FILE
    metrics = _read_json(path)
    labelled = [split for split in EVALUATED_SPLITS if "eer" in metrics.get(split, {})]
    if not labelled:
        raise ModelError(f"{path}: no split with labels of both classes was evaluated: there is no EER to report")
    splits = {}
    for split in labelled:
        file = read_scores(folder / scores_file(split))
        trials = split_trials(store, split)
        scores = dict(zip(file.utterance_ids.tolist(), file.scores.tolist(), strict=True))
        if scores.keys() != {row["utterance_id"] for row in trials}:
            raise ModelError(
                f"{file.source} scores other clips than the {split} split of {store.storage.url} holds; "
                "run `bonafide evaluate` again"
            )
        plots = {name: _read_json(folder / plot_file(split, name)) for name in _PLOTS}
        splits[split] = EvaluatedSplit(split, metrics[split], plots, labelled_scores(trials, scores, file.source))
    others = {split: metrics[split] for split in EVALUATED_SPLITS if split in metrics and split not in labelled}
    unlabelled = {split: found["n_trials"] for split, found in others.items() if "threshold" not in found}
    one_class = {split: found for split, found in others.items() if "threshold" in found}
    corpora, band = metrics.get(CORPORA, {}), metrics.get("abstain_band") or {}
    return EvaluationFiles(splits, unlabelled, one_class, corpora, band)


def read_robustness(folder: Path) -> dict[str, Any] | None:
    """The robustness table of the evaluation, or None if there is none; raises `ModelError` if it is damaged."""
    path = folder / ROBUSTNESS_FILE
    return _read_json(path) if path.exists() else None


def read_validation(folder: Path) -> dict[str, Any] | None:
    """The content of the data validation, or None if there is none.

    Raises:
        ModelError: It is damaged.
    """
    if not (folder / VALIDATION_FILE).exists():
        return None
    try:
        return read_report(folder)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder}: the data validation cannot be read: {error}; run `bonafide validate` again"
        ) from error


def read_curves(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """The training curves: by name, then by "train" and "dev", (epoch, value) pairs; empty if there are none.

    Raises:
        ModelError: A file is damaged.
    """
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for name in CURVES:
        for split in ("train", "dev"):
            path = folder / training_curve_file(split, name)
            if not path.exists():
                continue
            with path.open(encoding="utf-8", newline="") as file:
                try:
                    points = [(int(row["step"]), float(row[name])) for row in csv.DictReader(file, delimiter="\t")]
                except (KeyError, TypeError, ValueError) as error:
                    raise ModelError(f"{path} cannot be read: {error!r}; run `bonafide train` again") from None
            curves.setdefault(name, {})[split] = points
    return curves


def git_revision(folder: Path) -> str | None:
    """The last commit of code or parameters of the project in `folder`; None outside git or before the first commit.

    HEAD would not do: with it, a commit of results would change the page of the same run, and with the page the lock file.

    Returns:
        The commit, with a remark if code or parameters differ from it.
    """
    revision = _git(folder, "log", "-1", "--format=%H", "--", *_DECISIVE)
    if not revision:
        return None
    changed = _git(folder, "status", "--porcelain", "--", *_DECISIVE)
    return f"{revision}, with uncommitted changes" if changed else revision


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        run = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; make it with `bonafide evaluate`") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; make it again with `bonafide evaluate`") from error
