"""The rows of the page's tables: headline numbers, error rates of parts of the data, the data card, parameters.

Values stay numbers until the template formats them; what is absent is None.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from model.evaluation.data_validation import FEWEST_CLIPS, SHORTCUT_EER
from model.metrics import HEADLINES, Interval, MetricInfo, Part, ScoreTable, by_duration, by_speaker
from pipeline.store.describe import MEASURES

TILES: Final = ("eer", "min_tdcf_2019", "min_dcf", "cllr", "auc", "balanced_accuracy")
"""The numbers shown large, in this order, where they exist."""

MEANINGS: Final = {
    "eer": "how often it is wrong when both errors are equally frequent",
    "rocch_eer": "the same for the best possible recalibration",
    "min_tdcf_2019": "cost in front of a voice login, 2019 rules",
    "min_tdcf_2021": "cost in front of a voice login, 2021 rules",
    "min_dcf": "cost at the best threshold, fakes being rare",
    "act_dcf": "cost at the threshold that theory asks for",
    "cllr": "quality of scores as probabilities; 1 is worthless",
    "auc": "how often a genuine clip outscores a fake; 0.5 is guessing",
    "average_precision": "how pure the top of the ranking is",
    "accuracy": "how often the verdict is right",
    "balanced_accuracy": "how often the verdict is right, both classes counting half",
    "precision": "how often “bona fide” is true",
    "recall": "how many genuine clips are called so",
    "f1": "precision and recall in one",
}

FEWEST_PER_CLASS: Final = 5
"""With fewer clips of a class, a speaker's error rate says nothing about the speaker."""

_RESAMPLES: Final = 200
_SEED: Final = 0


@dataclass(frozen=True)
class Value:
    """A number with its interval, which is None where it was not computed."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Headline:
    """A metric on each split.

    Attributes:
        name: In metrics.json.
        info: How it reads.
        meaning: In plain words.
        values: By split.
    """

    name: str
    info: MetricInfo
    meaning: str
    values: dict[str, Value]


@dataclass(frozen=True)
class Attack:
    """One attack against all bona fide clips.

    Attributes:
        name: Its id.
        eer: With interval.
        false_alarm: Share of its clips accepted at the threshold from dev.
        n_spoof: Its clips.
        heard: True where training had it.
    """

    name: str
    eer: Value
    false_alarm: float
    n_spoof: int
    heard: bool


@dataclass(frozen=True)
class Measure:
    """What the data validation says of one plain property on one split; medians and 5-95 % ranges per class."""

    title: str
    bona_fide: Mapping[str, float]
    spoof: Mapping[str, float]
    eer: float
    suspicious: bool


def headlines(metrics: Mapping[str, Mapping[str, Any]]) -> list[Headline]:
    """Every headline metric that some split has."""
    rows = []
    for name, info in HEADLINES.items():
        values = {split: value_of(figures, name) for split, figures in metrics.items() if name in figures}
        if values:
            rows.append(Headline(name, info, MEANINGS[name], values))
    return rows


def value_of(figures: Mapping[str, Any], name: str) -> Value:
    """A metric with its interval, where it has one."""
    low, high = figures.get(f"{name}_ci95_low"), figures.get(f"{name}_ci95_high")
    return Value(figures[name], None if low is None or high is None else Interval(low, high))


def attacks(figures: Mapping[str, Any], heard: frozenset[str]) -> list[Attack]:
    """The attacks of a split, the most successful first.

    Args:
        figures: Metrics of the split.
        heard: Attacks of the training data.
    """
    rows = [
        Attack(name, value_of(found, "eer"), found["false_alarm"], found["n_spoof"], name in heard)
        for name, found in figures["per_attack"].items()
    ]
    return sorted(rows, key=lambda row: (-row.eer.value, row.name))


def worst_speakers(table: ScoreTable, threshold: float, count: int) -> tuple[list[Part], int]:
    """The speakers with the highest EER, and how many could be judged.

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
    # Intervals for those shown alone: a corpus may have thousands of speakers.
    shown = by_speaker(_only(table, names), threshold=threshold, n_resamples=_RESAMPLES, seed=_SEED) if names else []
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
    """The plain properties of a split that has both classes, the most telling first."""
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


def flattened(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted names and values, in their order."""
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            yield from flattened(item, f"{name}.")
        else:
            yield name, item


def _only(table: ScoreTable, speakers: Sequence[str]) -> ScoreTable:
    import numpy as np

    kept = np.isin(table.speaker_ids, speakers)
    return ScoreTable(
        table.utterance_ids[kept],
        table.scores[kept],
        table.labels[kept],
        table.attack_ids[kept],
        table.speaker_ids[kept],
        table.source,
    )
