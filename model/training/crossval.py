"""Leave-attacks-out within train: how a recipe does on attacks that it never saw, without a look at eval.

The attacks of train are dealt into folds. For each fold a network is trained without the fold's attacks, and scores the dev clips
of these attacks and the bona fide clips of dev. Copy-synthesis twins are made of bona fide clips and stay in train.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.artifacts import CROSSVAL_DETAILS_FILE, CROSSVAL_METRICS_FILE
from model.dataset import scoring_batches
from model.errors import ModelError
from model.metrics import ScoreTable, by_attack, without_twins
from model.metrics.rates import eer_of_curve
from model.params import CrossvalParams, TrainParams
from model.scoring.scorer import ClipScorer, split_trials
from model.training.callbacks import Progressed
from model.training.held_out import SCHEMA, HeldOutTrials, write_held_out
from model.training.train import fit_network
from pipeline.corpus.schema import BONA_FIDE, SPOOF
from pipeline.files import temporary_folder, write_json
from pipeline.store import FeatureStore


@dataclass(frozen=True, eq=False)
class CrossvalResult:
    """What the folds gave.

    Attributes:
        trials: Logits of the held-out trials of every fold.
        metrics: `n_folds`; `mean_eer`, the mean of the folds' EERs; `folds`, by number: `eer`, `attacks`, `n_bonafide` and
            `n_spoof`; `per_attack`: `eer` and `n_spoof` of each attack by the network that did not see it.
        note: Why there are no folds, or None.
    """

    trials: HeldOutTrials
    metrics: dict[str, Any]
    note: str | None = None


def cross_validate(
    store: FeatureStore,
    params: TrainParams,
    crossval: CrossvalParams,
    progress_of: Callable[[int, Sequence[str]], Progressed] = lambda fold, attacks: lambda *_args: None,
    checkpoints: Path | None = None,
    notified: Callable[[str], None] = lambda message: None,
) -> CrossvalResult:
    """Trains a network for each fold and scores what was left out of it.

    An interrupted cross-validation goes on from its checkpoints as a training does; whole folds are not trained again.

    Args:
        store: The feature store, with both classes in train and dev.
        params: Network and training, of every fold.
        crossval: The folds.
        progress_of: Told the number of each fold from 1 and its attacks; gives what is called after every step.
        checkpoints: Folder for the checkpoints of the folds; None keeps none.
        notified: Takes a sentence about a checkpoint that is used or discarded.

    Raises:
        ModelError: `leave_out` names attacks that cannot be left out, or a training diverged.
        CorpusError: A split lacks a class.
        MetricsError: A logit is not finite.
    """
    found = folds(store, crossval)
    note = None
    if not found and crossval.folds:
        note = "no leave-attacks-out: train and dev have fewer than two attacks in common"
    rows: list[dict[str, Any]] = []
    with temporary_folder() if checkpoints is None else nullcontext(checkpoints) as folder:
        for number, attacks in enumerate(found, 1):

            def notified_of_fold(message: str, number: int = number) -> None:
                notified(f"Fold {number}: {message}")

            network = fit_network(
                without_attacks(store, attacks),
                params,
                folder / str(number),
                {"the attacks left out": list(attacks)},
                progress_of(number, attacks),
                notified_of_fold,
            )
            rows += _held_out_rows(store, ClipScorer(network), params, number, attacks)
    trials = HeldOutTrials(pa.Table.from_pylist(rows, schema=SCHEMA), store.config_fingerprint)
    return CrossvalResult(trials, _metrics({fold: trials.table(fold) for fold in trials.folds}, found), note)


def _held_out_rows(
    store: FeatureStore, scorer: ClipScorer, params: TrainParams, fold: int, attacks: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows of `SCHEMA` of one fold."""
    logits = scorer.logits(scoring_batches(store, "dev", scorer.n_frames, params.batch_size))
    columns = ("utterance_id", "speaker_id", "attack_id", "label")
    return [
        {"fold": fold, "logit": logits[trial["utterance_id"]], **{name: trial[name] for name in columns}}
        for trial in split_trials(store, "dev")
        if trial["label"] == BONA_FIDE or trial["attack_id"] in attacks
    ]


def write_crossval(result: CrossvalResult, output: Path, report: Path) -> None:
    """Writes the held-out scores to `output`, and to `report` details.json with all metrics and metrics.json with their mean."""
    write_held_out(result.trials, output)
    write_json(report / CROSSVAL_DETAILS_FILE, result.metrics)
    headlines = {name: value for name, value in result.metrics.items() if name == "mean_eer"}
    write_json(report / CROSSVAL_METRICS_FILE, headlines)


def folds(store: FeatureStore, crossval: CrossvalParams) -> list[tuple[str, ...]]:
    """The attacks of each fold, as sorted ids; attacks that dev does not have are never left out.

    If they are dealt, there are at most as many folds as attacks, and none with fewer than two attacks; a single fold has half of
    them.

    Raises:
        ModelError: `leave_out` names an attack that is not in both train and dev, names one twice, or leaves no other.
    """
    if not crossval.folds:
        return []
    trained, tested = (
        without_twins(store.select(split=split, label=SPOOF).index["attack_id"].to_pylist())
        for split in ("train", "dev")
    )
    if crossval.leave_out is None:
        common = sorted(trained & tested)
        dealt = np.random.default_rng(crossval.seed).permutation(len(common))
        # One fold is one of two halves.
        count = min(max(2, crossval.folds), len(common))
        parts = [tuple(sorted(common[i] for i in dealt[fold::count])) for fold in range(count)]
        return parts[: crossval.folds] if count > 1 else []
    listed = [name for attacks in crossval.leave_out for name in attacks]
    if unknown := sorted(set(listed) - (trained & tested)):
        raise ModelError(
            f"crossval.leave_out: {', '.join(unknown)}: not an attack of both train and dev, which have "
            f"{', '.join(sorted(trained & tested)) or 'none'} in common"
        )
    if repeated := sorted({name for name in listed if listed.count(name) > 1}):
        raise ModelError(f"crossval.leave_out: {', '.join(repeated)}: each attack belongs to one fold at most")
    if any(set(attacks) >= split for attacks in crossval.leave_out for split in (trained, tested)):
        raise ModelError("crossval.leave_out: a fold leaves no other attack in train or in dev: list fewer of them")
    return [tuple(sorted(attacks)) for attacks in crossval.leave_out]


def without_attacks(store: FeatureStore, attacks: Sequence[str]) -> FeatureStore:
    """The store without the examples of some attacks; its statistics stay those of all train originals."""
    left_out = pc.is_in(store.index["attack_id"], pa.array(attacks, pa.string()))
    return store.with_index(store.index.filter(pc.invert(pc.fill_null(left_out, False))))


def _metrics(tables: dict[int, ScoreTable], attacks: Sequence[Sequence[str]]) -> dict[str, Any]:
    by_fold = {
        str(fold): {
            "eer": eer_of_curve(table.curve).value,
            "attacks": list(attacks[fold - 1]),
            "n_bonafide": len(table.bonafide),
            "n_spoof": len(table.spoof),
        }
        for fold, table in tables.items()
    }
    metrics: dict[str, Any] = {"n_folds": len(by_fold), "folds": by_fold}
    parts = [part for table in tables.values() for part in by_attack(table)]
    metrics["per_attack"] = {part.name: {"eer": part.eer, "n_spoof": part.n_spoof} for part in parts}
    if by_fold:
        metrics["mean_eer"] = float(np.mean([fold["eer"] for fold in by_fold.values()]))
    return metrics
