"""The metrics of one labelled split or further test set, and the few of them that DVC tracks."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from model.metrics import (
    SEEN,
    UNSEEN,
    AbstainBand,
    AsvScores,
    Part,
    ScoreTable,
    asv_error_rates,
    attack_aliases,
    band_outcomes,
    by_seen,
    calibration_checks,
    drawn_cluster,
    read_asv_scores,
    seen_as,
    summarise,
    summarise_one_class,
    undefined_costs,
    without_twins,
)
from model.metrics.detection_cost import cllr_of_curve
from model.metrics.intervals import FEWEST_ATTACKS, Cluster, can_draw
from model.params import EvaluateParams
from pipeline.corpus.schema import SPOOF
from pipeline.store import FeatureStore

SEED: Final = 0
"""Of every resampling of the evaluation."""

_TRACKED: Final[Mapping[str, tuple[str, ...]]] = {
    "dev": ("eer", "min_dcf", "cllr", "auc", "uncertain", "certain_wrong"),
    "eval": (
        *("eer", "eer_ci95_low", "eer_ci95_high", "min_tdcf_2019", "min_dcf", "cllr", "min_cllr", "auc"),
        *("balanced_accuracy", "expected_calibration_error", "calibration_slope", "uncertain", "certain_wrong"),
    ),
}
_TRACKED_PARTS: Final = {"seen": "eer_seen", "unseen": "eer_unseen", "trimmed": "eer_trimmed"}
_TRACKED_OF_CORPORA: Final = ("eer", "eer_ci95_low", "eer_ci95_high", "cllr", "miss", "false_alarm")
_ONE_CLASS: Final = ("miss", "false_alarm", "uncertain", "certain_wrong", "n_trials")
_ROW: Final = ("eer", "cllr", "min_dcf", "miss", "false_alarm")
"""Of one row of `dvc metrics show`, which fits a terminal of 120 columns."""
CORPORA: Final = "corpora"
"""The key of the further test sets in details.json and metrics.json."""


def trained_attacks(store: FeatureStore) -> frozenset[str]:
    """The attacks of the store's train split; copy-synthesis twins are none."""
    return without_twins(store.select(split="train", label=SPOOF).index["attack_id"].to_pylist())


def split_metrics(
    split: str,
    table: ScoreTable,
    uncalibrated: ScoreTable,
    threshold: float,
    band: AbstainBand,
    params: EvaluateParams,
    trained: Collection[str],
) -> dict[str, Any]:
    """All metrics of one labelled split or further test set but those of the shortcut audit.

    Args:
        split: "dev", "eval" or the name of the test set.
        table: Log-likelihood ratios.
        uncalibrated: Logits of the same trials.
        threshold: From which a clip is called bona fide.
        band: The uncertain band.
        params: Intervals, prior, ASV scores, aliases of attacks.
        trained: Attacks of train; none where they are not known, or where ids of attacks have another meaning.

    Returns:
        Of both classes: those of `summarise`, `calibration_checks` and `band_outcomes`; `cllr_before_calibration`;
        `undefined`, why a cost is absent; `seen` and `unseen`, the error rates of the attacks of train and of the others; and
        `seen_attacks`, the id in train of each attack of train. Of one class: those of `summarise_one_class` and
        `band_outcomes`. `drawn` says what the intervals draw ("clip", "speaker" or "attack"), and `is_constant` whether every
        clip has the same score.
    """
    cluster = cluster_of(table, params)
    told = {"drawn": cluster or "clip", "is_constant": table.is_constant} | band_outcomes(band, table)
    options: dict[str, Any] = {"n_resamples": params.intervals, "cluster": cluster, "seed": SEED}
    if not table.has_both_classes:
        return summarise_one_class(table, threshold, **options) | told
    asv = _asv_scores(params, split)
    figures: dict[str, Any] = summarise(table, threshold=threshold, asv=asv, **options) | told
    figures |= calibration_checks(table, params.prior)
    figures["cllr_before_calibration"] = cllr_of_curve(uncalibrated.curve)
    if asv is not None and (undefined := undefined_costs(asv_error_rates(asv))):
        figures["undefined"] = undefined
    if trained:
        tested = sorted(figures["per_attack"])
        seen = seen_as(tested, trained, attack_aliases(trained, tested, params.attack_aliases))
        parts = by_seen(table, seen, threshold=threshold, n_resamples=params.intervals, seed=SEED)
        counts = {SEEN: len(seen), UNSEEN: len(tested) - len(seen)}
        for name, part in parts.items():
            drawn = "attack" if counts[name] >= FEWEST_ATTACKS else "clip"
            figures[name] = _scalars(part) | {"drawn": drawn}
        figures["seen_attacks"] = seen
    return figures


def tracked(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The headline scalars of dev, eval and further test sets for metrics.json, from the content of details.json."""
    found: dict[str, Any] = {}
    for split, names in _TRACKED.items():
        figures = metrics.get(split, {})
        chosen = _chosen(figures, names)
        if split == "eval":
            parts = {key: figures.get(part, {}) for part, key in _TRACKED_PARTS.items()}
            chosen |= {key: part["eer"] for key, part in parts.items() if "eer" in part}
            chosen |= {f"robustness_{name}": value for name, value in figures.get("robustness", {}).items()}
        if chosen:
            found[split] = chosen
    if metrics.get(CORPORA):
        found[CORPORA] = {name: _chosen(figures, _TRACKED_OF_CORPORA) for name, figures in metrics[CORPORA].items()}
    return found


def headline_rows(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, float]]]:
    """The rows of `dvc metrics show`, each a file: the splits, parts of eval, and the further test sets.

    A key means the same in every row, and a row holds only what its clips give.

    Args:
        metrics: The content of details.json.
    """
    sets = {split: metrics[split] for split in _TRACKED if split in metrics}
    sets |= {f"eval_{part}": metrics["eval"][part] for part in _TRACKED_PARTS if part in metrics.get("eval", {})}
    for name, figures in (sets | dict(metrics.get(CORPORA, {}))).items():
        if row := {key: figures[key] for key in _ROW if key in figures}:
            yield name, row


def cluster_of(table: ScoreTable, params: EvaluateParams) -> Cluster | None:
    """What the intervals of a table draw, as the `cluster` of `model.metrics.bootstrap`: what is asked for, if it is known."""
    cluster = drawn_cluster(table, None if params.interval_clusters == "none" else params.interval_clusters)
    return cluster if cluster is None or can_draw(table, cluster) else None


def _chosen(figures: Mapping[str, Any], names: Collection[str]) -> dict[str, float]:
    """Some figures of a split; of one without an EER, what it has instead."""
    wanted = names if "eer" in figures else _ONE_CLASS if "threshold" in figures else ("n_trials",)
    return {name: figures[name] for name in wanted if name in figures}


def _scalars(part: Part) -> dict[str, float]:
    values = {"eer": part.eer, "false_alarm": part.false_alarm, "n_spoof": part.n_spoof}
    if part.eer_interval is not None:
        values |= {"eer_ci95_low": part.eer_interval.low, "eer_ci95_high": part.eer_interval.high}
    return {name: value for name, value in values.items() if value is not None}


def _asv_scores(params: EvaluateParams, split: str) -> AsvScores | None:
    path = {"dev": params.asv_scores.dev, "eval": params.asv_scores.eval}.get(split)
    return None if path is None else read_asv_scores(Path(path))
