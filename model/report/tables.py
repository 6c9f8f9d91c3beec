"""The rows of the page's tables: headline metrics, error rates of parts of the data, the data card, parameters.

Values are numbers, and the template formats them; an absent value is None.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from model.evaluation.data_validation import FEWEST_CLIPS, SHORTCUT_EER
from model.metrics import (
    CHECKS,
    HEADLINES,
    SEEN,
    UNSEEN,
    CheckInfo,
    Interval,
    MetricInfo,
    Part,
    ScoreTable,
    by_duration,
    by_speaker,
)
from pipeline.store.describe import MEASURES

TILES: Final = ("eer", "eer_seen", "eer_unseen", "min_tdcf_2019", "min_dcf", "cllr", "auc", "balanced_accuracy")
"""The metrics in large type, in this order, as far as they exist."""

_GROUPS: Final[Mapping[str, str]] = {SEEN: "attacks of its training data", UNSEEN: "other attacks"}

FEWEST_PER_CLASS: Final = 5
"""Fewest clips of each class for which the error rate of a speaker is shown."""

_RESAMPLES: Final = 200
_SEED: Final = 0


@dataclass(frozen=True)
class Value:
    """A metric with its interval, which is None if it was not computed."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Headline:
    """A metric on each split.

    Attributes:
        name: Its name in details.json.
        info: Title, unit, direction and meaning.
        values: Values by split.
    """

    name: str
    info: MetricInfo
    values: dict[str, Value]


@dataclass(frozen=True)
class Attack:
    """One attack against all bona fide clips.

    Attributes:
        name: Its id.
        eer: Equal error rate with interval.
        false_alarm: Share of its clips accepted at the threshold from dev.
        n_spoof: Number of its clips.
        seen_as: Its id in the training data, or None if they did not have it.
        is_known: False if it is not known whether they had it.
    """

    name: str
    eer: Value
    false_alarm: float
    n_spoof: int
    seen_as: str | None
    is_known: bool = True

    @property
    def in_training(self) -> bool:
        """True if the training data had it."""
        return self.seen_as is not None


@dataclass(frozen=True)
class Robustness:
    """The same clips under several conditions.

    Attributes:
        split: Of the clips.
        n_bonafide: Number of genuine clips.
        n_spoof: Number of fake clips.
        rows: Each condition as robustness.json has it, with `eer` as a `Value`; the clips as recorded first.
        not_measured: The other conditions, as robustness.json has them.
    """

    split: str
    n_bonafide: int
    n_spoof: int
    rows: list[dict[str, Any]]
    not_measured: list[dict[str, str]]


@dataclass(frozen=True)
class Measure:
    """The shortcut probe of one plain property on one split.

    Attributes:
        title: Name and unit of the property.
        bona_fide: Its `median`, `p05` and `p95` among bona fide clips.
        spoof: The same among spoof clips.
        eer: Equal error rate of the property as a score.
        suspicious: True if the property tells the classes apart too well.
    """

    title: str
    bona_fide: Mapping[str, float]
    spoof: Mapping[str, float]
    eer: float
    suspicious: bool


@dataclass(frozen=True)
class Correlation:
    """Correlation of the score with one plain property, in [-1, 1], within each class; None if it was not computed."""

    title: str
    bona_fide: float | None
    spoof: float | None


def headlines(metrics: Mapping[str, Mapping[str, Any]]) -> list[Headline]:
    """Every headline metric that at least one split has."""
    rows = []
    for name, info in HEADLINES.items():
        values = {split: value_of(found, name) for split, found in metrics.items() if name in found}
        if values:
            rows.append(Headline(name, info, values))
    return rows


def value_of(metrics: Mapping[str, Any], name: str) -> Value:
    """A metric with its interval, if it has one."""
    low, high = metrics.get(f"{name}_ci95_low"), metrics.get(f"{name}_ci95_high")
    return Value(metrics[name], None if low is None or high is None else Interval(low, high))


def eer_intervals(metrics: Mapping[str, Any]) -> list[tuple[str, Interval]]:
    """The intervals of a split's EER by what is drawn, "attack", "speaker" or "clip", the widest first."""
    found = {metrics.get("drawn", "clip"): value_of(metrics, "eer").interval}
    found |= {
        drawn: Interval(metrics[f"eer_{drawn}_ci95_low"], metrics[f"eer_{drawn}_ci95_high"])
        for drawn in ("attack", "speaker", "clip")
        if f"eer_{drawn}_ci95_low" in metrics
    }
    known = [(drawn, interval) for drawn, interval in found.items() if interval is not None]
    return sorted(known, key=lambda pair: (pair[1].low - pair[1].high, pair[0]))


def attacks(metrics: Mapping[str, Any]) -> list[Attack]:
    """The attacks of a split, the most successful first."""
    seen, is_known = metrics.get("seen_attacks", {}), "seen_attacks" in metrics
    rows = [
        replace(_attack(name, found, seen.get(name)), is_known=is_known)
        for name, found in metrics["per_attack"].items()
    ]
    return sorted(rows, key=lambda row: (-row.eer.value, row.name))


def unseen_attacks(metrics: Mapping[str, Any]) -> list[str]:
    """The attacks of a split that the training data did not have; none where it is not known what they had."""
    return [row.name for row in attacks(metrics) if not row.in_training] if "seen_attacks" in metrics else []


def attack_groups(metrics: Mapping[str, Any]) -> list[Attack]:
    """Attacks of the training data and others, each as one row; empty unless the split has both."""
    if not _GROUPS.keys() <= metrics.keys():
        return []
    return [_attack(title, metrics[name], name if name == SEEN else None) for name, title in _GROUPS.items()]


def group_headlines(metrics: Mapping[str, Mapping[str, Any]]) -> list[Headline]:
    """The EER of attacks of the training data and that of others, as headlines of the splits that have both."""
    found = {split: figures for split, figures in metrics.items() if attack_groups(figures)}
    return [
        Headline(
            f"eer_{name}",
            MetricInfo(f"EER, {title}", "%", True, f"how often it is wrong about {title}"),
            {split: value_of(figures[name], "eer") for split, figures in found.items()},
        )
        for name, title in _GROUPS.items()
        if found
    ]


def checks(metrics: Mapping[str, Mapping[str, Any]]) -> list[tuple[CheckInfo, dict[str, float]]]:
    """Every number that checks the scores as probabilities, or the uncertain band, by split."""
    rows = (
        (info, {split: found[name] for split, found in metrics.items() if name in found})
        for name, info in CHECKS.items()
    )
    return [row for row in rows if row[1]]


def _attack(title: str, found: Mapping[str, Any], seen_as: str | None) -> Attack:
    return Attack(title, value_of(found, "eer"), found["false_alarm"], found["n_spoof"], seen_as)


def robustness(found: Mapping[str, Any] | None) -> Robustness | None:
    """The robustness table, the condition that changes most verdicts second, after the clips as recorded; None for None.

    Args:
        found: The content of robustness.json.
    """
    if found is None:
        return None
    rows = [
        {**row, "eer": Value(row["eer"], None if row["eer_ci95"] is None else Interval(*row["eer_ci95"]))}
        for row in found["conditions"]
    ]
    rows[1:] = sorted(rows[1:], key=lambda row: -row["changed"])
    return Robustness(found["split"], found["n_bonafide"], found["n_spoof"], rows, found["not_measured"])


def worst_speakers(table: ScoreTable, threshold: float, count: int) -> tuple[list[Part], int]:
    """The speakers with the highest EER, and the number of speakers with enough clips.

    Args:
        table: The scores.
        threshold: From dev.
        count: At most this many.
    """
    parts = [
        part
        for part in by_speaker(table, threshold=threshold)
        if min(part.n_bonafide, part.n_spoof) >= FEWEST_PER_CLASS
    ]
    names = [part.name for part in parts[:count]]
    # Intervals only for the speakers on the page: a corpus may have thousands.
    clips = table.select(np.isin(table.speaker_ids, names))
    shown = by_speaker(clips, threshold=threshold, n_resamples=_RESAMPLES, seed=_SEED)
    return shown, len(parts)


def durations(table: ScoreTable, durations_s: Mapping[str, float], threshold: float) -> list[Part]:
    """Error rates by duration of the clip, the worst bin first.

    Args:
        table: The scores.
        durations_s: By utterance id.
        threshold: From dev.
    """
    seconds = [durations_s[name] for name in table.utterance_ids.tolist()]
    return by_duration(table, seconds, threshold=threshold, n_resamples=_RESAMPLES, seed=_SEED)


def measures(part: Mapping[str, Any]) -> list[Measure]:
    """The shortcut probe of a split with both classes, the lowest EER first."""
    enough = min(part["bona_fide"], part["spoof"]) >= FEWEST_CLIPS
    rows = [
        Measure(
            MEASURES.get(name, name),
            part["measures"][name]["bona_fide"],
            part["measures"][name]["spoof"],
            eer,
            enough and eer < SHORTCUT_EER,
        )
        for name, eer in part["shortcut_eer"].items()
    ]
    return sorted(rows, key=lambda row: (row.eer, row.title))


def correlations(found: Mapping[str, Mapping[str, float]]) -> list[Correlation]:
    """The correlations of the shortcut audit of a split, from its values by property and class."""
    return [
        Correlation(MEASURES.get(name, name).partition(",")[0], by_class.get("bona_fide"), by_class.get("spoof"))
        for name, by_class in found.items()
    ]


def flattened(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings with their dotted names, in order."""
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            yield from flattened(item, f"{name}.")
        else:
            yield name, item
