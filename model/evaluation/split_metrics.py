"""The metrics of one labelled split, and the few of them that DVC tracks."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from model.metrics import (
    AbstainBand,
    AsvScores,
    Part,
    ScoreTable,
    attack_aliases,
    band_outcomes,
    by_seen,
    calibration_checks,
    cllr,
    read_asv_scores,
    seen_as,
    summarise,
    without_twins,
)
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

Cluster = Literal["speaker", "attack"]


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
    """All metrics of one labelled split but those of the shortcut audit.

    Args:
        split: "dev" or "eval".
        table: Log-likelihood ratios.
        uncalibrated: Logits of the same trials.
        threshold: From which a clip is called bona fide.
        band: The uncertain band.
        params: Intervals, prior, ASV scores, aliases of attacks.
        trained: Attacks of train.

    Returns:
        Those of `summarise`, `calibration_checks` and `band_outcomes`; `cllr_before_calibration`; `seen` and `unseen`, the
        error rates of the attacks of train and of the others; and `seen_attacks`, the id in train of each attack of train.
    """
    figures: dict[str, Any] = summarise(
        table,
        threshold=threshold,
        asv=_asv_scores(params, split),
        n_resamples=params.intervals,
        cluster=cluster_of(params),
        seed=SEED,
    )
    figures |= calibration_checks(table, params.prior) | band_outcomes(band, table)
    figures["cllr_before_calibration"] = cllr(uncalibrated.bonafide, uncalibrated.spoof)
    if trained:
        tested = sorted(figures["per_attack"])
        seen = seen_as(tested, trained, attack_aliases(trained, tested, params.attack_aliases))
        parts = by_seen(table, seen, threshold=threshold, n_resamples=params.intervals, seed=SEED)
        figures |= {name: _scalars(part) for name, part in parts.items()} | {"seen_attacks": seen}
    return figures


def tracked(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The headline scalars of dev and eval for metrics.json, from the content of details.json."""
    found: dict[str, dict[str, float]] = {}
    for split, names in _TRACKED.items():
        figures = metrics.get(split, {})
        wanted = names if "eer" in figures else ("n_trials",)
        chosen = {name: figures[name] for name in wanted if name in figures}
        if split == "eval":
            parts = {key: figures.get(part, {}) for part, key in _TRACKED_PARTS.items()}
            chosen |= {key: part["eer"] for key, part in parts.items() if "eer" in part}
            chosen |= {f"robustness_{name}": value for name, value in figures.get("robustness", {}).items()}
        if chosen:
            found[split] = chosen
    return found


def cluster_of(params: EvaluateParams) -> Cluster | None:
    """The `cluster` of `model.metrics.bootstrap`."""
    return None if params.interval_clusters == "none" else params.interval_clusters


def _scalars(part: Part) -> dict[str, float]:
    values = {"eer": part.eer, "false_alarm": part.false_alarm, "n_spoof": part.n_spoof}
    if part.eer_interval is not None:
        values |= {"eer_ci95_low": part.eer_interval.low, "eer_ci95_high": part.eer_interval.high}
    return {name: value for name, value in values.items() if value is not None}


def _asv_scores(params: EvaluateParams, split: str) -> AsvScores | None:
    path = params.asv_scores.dev if split == "dev" else params.asv_scores.eval
    return None if path is None else read_asv_scores(Path(path))
