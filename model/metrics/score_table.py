"""Scores of labelled utterances: checked, and joined with a protocol by utterance id.

A `ScoreTable` holds unique ids and finite scores. Score files that lack a class or hold hard decisions are refused, with the file
and its utterances named. The order of lines in the score file and in the protocol does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.metrics.errors import MetricsError, enumerate_some
from model.metrics.fields import NO_VALUE
from model.metrics.rates import DetCurve, FloatArray, curve_of_checked, refuse_hard_decisions
from model.metrics.score_files import (
    LABEL_NAMES,
    LabelArray,
    Protocol,
    ScoreFile,
    StringArray,
    read_protocol,
    read_scores,
)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Checked scores of labelled utterances.

    Made by `score_table`, `join` or `read_score_table`; `trial_table` makes one that may lack a class.

    Attributes:
        utterance_ids: str [n], unique.
        scores: float64 [n], finite log-odds for bona fide.
        labels: int8 [n], 1 = bona fide, 0 = spoof.
        attack_ids: str [n]; "-" for bona fide.
        speaker_ids: str [n]; "-" where unknown.
        source: Where the scores come from, for messages.
    """

    utterance_ids: StringArray
    scores: FloatArray
    labels: LabelArray
    attack_ids: StringArray
    speaker_ids: StringArray
    source: str = "scores"

    def __len__(self) -> int:
        return len(self.utterance_ids)

    @property
    def bonafide(self) -> FloatArray:
        """float64 [n], scores of the bona fide utterances."""
        chosen: FloatArray = self.scores[self.labels == 1]
        return chosen

    @property
    def spoof(self) -> FloatArray:
        """float64 [m], scores of the spoof utterances."""
        chosen: FloatArray = self.scores[self.labels == 0]
        return chosen

    @property
    def has_both_classes(self) -> bool:
        """Whether there are bona fide and spoof utterances, which an error rate over both needs."""
        return bool(len(self)) and int(self.labels.min()) != int(self.labels.max())

    @property
    def is_constant(self) -> bool:
        """Whether every utterance has the same score."""
        return bool(len(self)) and float(self.scores.min()) == float(self.scores.max())

    @cached_property
    def curve(self) -> DetCurve:
        """The DET curve of all scores."""
        return curve_of_checked(self.bonafide, self.spoof)

    def with_scores(self, scores: npt.ArrayLike) -> "ScoreTable":
        """The same utterances with other scores, such as calibrated ones; they are checked as in `trial_table`."""
        return trial_table(self.utterance_ids, scores, self.labels, self.attack_ids, self.speaker_ids, self.source)

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "ScoreTable":
        """The utterances at a mask, bool [n], or at places, int [k], in that order; the result may lack a class."""
        return ScoreTable(
            self.utterance_ids[rows],
            self.scores[rows],
            self.labels[rows],
            self.attack_ids[rows],
            self.speaker_ids[rows],
            self.source,
        )

    def unnamed(self, rows: npt.NDArray[np.bool_]) -> "ScoreTable":
        """Scores, labels and attacks at a mask, bool [n]; the other ids are all "-", which takes no memory.

        The result may lack a class.
        """
        scores = self.scores[rows]
        names = np.broadcast_to(np.array(NO_VALUE), scores.shape)
        return ScoreTable(names, scores, self.labels[rows], self.attack_ids[rows], names, self.source)


def score_table(
    utterance_ids: Sequence[str] | npt.NDArray[np.str_],
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    attack_ids: Sequence[str] | npt.NDArray[np.str_] | None = None,
    speaker_ids: Sequence[str] | npt.NDArray[np.str_] | None = None,
    source: str = "scores",
) -> ScoreTable:
    """As `trial_table`, of both classes and with soft scores.

    Raises:
        MetricsError: As in `trial_table`, a class without trials, or hard decisions.
    """
    table = trial_table(utterance_ids, scores, labels, attack_ids, speaker_ids, source)
    require_both_classes(table)
    refuse_hard_decisions(len(np.unique(table.scores)), f"{source}: ")
    return table


def require_both_classes(table: ScoreTable) -> None:
    """Makes sure that an error rate over both classes can be computed.

    Raises:
        MetricsError: A class has no trial.
    """
    if not len(table):
        raise MetricsError(f"{table.source}: no utterance: an error rate needs both classes")
    if not table.has_both_classes:
        found = int(table.labels[0])
        raise MetricsError(
            f"{table.source}: no {LABEL_NAMES[1 - found]} utterance among {len(table):,}, all are {LABEL_NAMES[found]}: an error "
            "rate needs both classes"
        )


def trial_table(
    utterance_ids: Sequence[str] | npt.NDArray[np.str_],
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    attack_ids: Sequence[str] | npt.NDArray[np.str_] | None = None,
    speaker_ids: Sequence[str] | npt.NDArray[np.str_] | None = None,
    source: str = "scores",
) -> ScoreTable:
    """Checks scores that are in memory and makes a table of them, which may lack a class or hold equal scores.

    A network may give one value for every clip, and a test set may hold one class; neither is a mistake of whoever scores it.

    Args:
        utterance_ids: str [n].
        scores: float [n], log-odds for bona fide.
        labels: int [n], 1 = bona fide, 0 = spoof.
        attack_ids: str [n], "-" for bona fide; None = unknown throughout.
        speaker_ids: str [n]; None = unknown throughout.
        source: What to call the scores in messages.

    Raises:
        MetricsError: Columns of different length, duplicate ids, scores that are not finite, labels other than 0 and 1.
    """
    names = np.asarray(utterance_ids, dtype=np.str_)
    values = np.asarray(scores, dtype=np.float64)
    flags = np.asarray(labels)
    unknown = np.full(len(names), NO_VALUE)
    attacks = unknown if attack_ids is None else np.asarray(attack_ids, dtype=np.str_)
    speakers = unknown if speaker_ids is None else np.asarray(speaker_ids, dtype=np.str_)
    columns = {
        "utterance_ids": names,
        "scores": values,
        "labels": flags,
        "attack_ids": attacks,
        "speaker_ids": speakers,
    }
    if len({column.shape for column in columns.values()}) != 1 or names.ndim != 1:
        shapes = ", ".join(f"{key} {column.shape}" for key, column in columns.items())
        raise MetricsError(f"{source}: columns differ in shape: {shapes}")
    _refuse_bad_values(names, values, flags, source)
    return ScoreTable(names, values, flags.astype(np.int8), attacks, speakers, source)


def _refuse_bad_values(names: StringArray, scores: FloatArray, labels: npt.NDArray[Any], source: str) -> None:
    is_sorted = np.all(names[1:] > names[:-1])  # type: ignore[operator]  # numpy's types know no order of strings
    ordered = names if is_sorted else np.sort(names)
    duplicates = np.unique(ordered[1:][ordered[1:] == ordered[:-1]]).tolist()
    del ordered
    if duplicates:
        raise MetricsError(f"{source}: {len(duplicates):,} duplicate utterance ids: {enumerate_some(duplicates)}")
    bad = [f"{names[i]} ({scores[i]})" for i in np.flatnonzero(~np.isfinite(scores))]
    if bad:
        raise MetricsError(f"{source}: {len(bad):,} of {len(names):,} scores are not finite: {enumerate_some(bad)}")
    odd = [f"{names[i]} ({labels[i]})" for i in np.flatnonzero((labels != 0) & (labels != 1))]
    if odd:
        raise MetricsError(f"{source}: a label must be 1 (bona fide) or 0 (spoof): {enumerate_some(odd)}")


def join(file: ScoreFile, protocol: Protocol) -> ScoreTable:
    """Gives every utterance of a protocol its score, in the protocol's order.

    Labels, attacks and speakers come from the protocol.

    Raises:
        MetricsError: The protocol has no labels, an id is in one of the two only, labels contradict each other, or the
            table fails a check of `score_table`.
    """
    if protocol.labels is None:
        raise MetricsError(
            f"{protocol.source} has no labels: scores can be made for it, but no error rate. "
            "Give a protocol with bonafide and spoof"
        )
    place = {name: i for i, name in enumerate(file.utterance_ids.tolist())}
    _refuse_other_utterances(file.source, list(place), protocol)
    order = np.array([place[name] for name in protocol.utterance_ids.tolist()])
    if file.labels is not None:
        _refuse_other_labels(file.source, file.labels[order], protocol.labels, protocol)
    return score_table(
        protocol.utterance_ids,
        file.scores[order],
        protocol.labels,
        protocol.attack_ids,
        protocol.speaker_ids,
        file.source,
    )


def _refuse_other_utterances(source: str, scored: list[str], protocol: Protocol) -> None:
    wanted = protocol.utterance_ids.tolist()
    known = set(scored)
    unscored = [name for name in wanted if name not in known]
    if len(unscored) == len(wanted):
        raise MetricsError(
            f"{source} scores another corpus or split than {protocol.source}: not one of its {len(scored):,} utterance ids "
            f"({enumerate_some(scored, 2)}) is among the protocol's {len(wanted):,} ({enumerate_some(wanted, 2)})"
        )
    if unscored:
        raise MetricsError(
            f"{source}: no score for {len(unscored):,} of the {len(wanted):,} utterances of {protocol.source}: "
            f"{enumerate_some(unscored)}. An error rate of the rest would be too low; score them or remove them from the protocol"
        )
    if len(scored) > len(wanted):
        known = set(wanted)
        strangers = [name for name in scored if name not in known]
        raise MetricsError(
            f"{source}: {len(strangers):,} scored utterances are not in {protocol.source}: {enumerate_some(strangers)}. "
            "Is the protocol that of another split, or cut short?"
        )


def _refuse_other_labels(source: str, found: LabelArray, expected: LabelArray, protocol: Protocol) -> None:
    differing = [
        f"{protocol.utterance_ids[i]} ({LABEL_NAMES[found[i]]}, protocol: {LABEL_NAMES[expected[i]]})"
        for i in np.flatnonzero(found != expected)
    ]
    if differing:
        raise MetricsError(
            f"{source}: the label of {len(differing):,} utterances contradicts {protocol.source}: "
            f"{enumerate_some(differing)}"
        )


def labelled_table(file: ScoreFile, protocol: Path | None = None) -> ScoreTable:
    """The table of a score file, with the labels of its protocol or, without one, with its own; speakers are then unknown.

    Raises:
        MetricsError: There is no protocol and the file has no labels, or as in `read_protocol`, `join` and `score_table`.
    """
    if protocol is not None:
        return join(file, read_protocol(protocol))
    if file.labels is None:
        raise MetricsError(f"{file.source} has scores but no labels: give the protocol of its corpus (--protocol)")
    return score_table(file.utterance_ids, file.scores, file.labels, file.attack_ids, None, file.source)


def read_score_table(scores: Path, protocol: Path | None = None) -> ScoreTable:
    """Reads a score file and gives its table, as `labelled_table`; a file of four columns needs no protocol.

    Raises:
        MetricsError: As in `read_scores` and `labelled_table`.
    """
    return labelled_table(read_scores(scores), protocol)
