"""Score files and protocols, joined by utterance id whatever the order of either.

A `ScoreTable` that exists can be trusted: finite scores, unique ids, soft scores of both classes. Everything else is refused
with a message that names file, lines and utterances. Byte-order marks, CRLF, tabs and blank lines are fine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.metrics.errors import MetricsError, enumerate_some
from model.metrics.rates import DetCurve, FloatArray, curve_of_checked, refuse_hard_decisions

StringArray = npt.NDArray[np.str_]
LabelArray = npt.NDArray[np.int8]

NO_ATTACK = "-"
LABELS = {"bonafide": 1, "spoof": 0}
LABEL_NAMES = ("spoof", "bonafide")


@dataclass(frozen=True)
class Fields:
    """A whitespace-separated file, column by column.

    Attributes:
        path: The file.
        lines: Line number of each row, from 1.
        fields: One sequence per column.
    """

    path: Path
    lines: list[int]
    fields: list[tuple[str, ...]]

    def numbers(self, texts: Sequence[str]) -> FloatArray:
        """A column as float64.

        Raises:
            MetricsError: Some are not numbers, or not finite; their lines are named.
        """
        values = np.array([_float(text) for text in texts])
        wrong = np.flatnonzero(~np.isfinite(values))
        bad = [f"line {self.lines[i]} ({self.fields[0][i]}): '{texts[i]}'" for i in wrong]
        if bad:
            raise MetricsError(
                f"{self.path}: {len(bad):,} score{'s' * (len(bad) != 1)} not a finite number: {enumerate_some(bad)}. "
                "Scores must be finite log-odds; leave out a header line"
            )
        return values


@dataclass(frozen=True, eq=False)
class Protocol:
    """What a corpus says about its utterances.

    Attributes:
        utterance_ids: str [n].
        speaker_ids: str [n]; "-" where unknown.
        attack_ids: str [n]; "-" for bona fide and where unknown.
        labels: int8 [n], 1 = bona fide, 0 = spoof; None for an unlabelled protocol.
        source: Where it comes from, for messages.
    """

    utterance_ids: StringArray
    speaker_ids: StringArray
    attack_ids: StringArray
    labels: LabelArray | None
    source: str = "protocol"


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of labelled utterances, checked.

    Make one with `score_table`, `join` or `read_score_table`.

    Attributes:
        utterance_ids: str [n], unique.
        scores: float64 [n], finite log-odds for bona fide.
        labels: int8 [n], 1 = bona fide, 0 = spoof; both occur.
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

    @cached_property
    def curve(self) -> DetCurve:
        """The DET curve of all its scores."""
        return curve_of_checked(self.bonafide, self.spoof)

    def with_scores(self, scores: npt.ArrayLike) -> "ScoreTable":
        """The same utterances with other scores (calibrated ones, say)."""
        return score_table(self.utterance_ids, scores, self.labels, self.attack_ids, self.speaker_ids, self.source)


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """A score file as read: finite scores, unique ids, labels perhaps.

    Attributes:
        utterance_ids: str [n], unique.
        scores: float64 [n], finite.
        attack_ids: str [n], or None for a file of two columns.
        labels: int8 [n], or None for a file of two columns or with "-" as every label.
        source: The file.
    """

    utterance_ids: StringArray
    scores: FloatArray
    attack_ids: StringArray | None
    labels: LabelArray | None
    source: str


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def read_fields(path: Path, widths: Sequence[int], expected: str) -> Fields:
    """Reads a file of whitespace-separated fields, the same number in every line.

    Args:
        path: The file.
        widths: Numbers of fields allowed.
        expected: What a line looks like, for the message.

    Raises:
        MetricsError: The file is missing, empty, not text, or has lines of another width (they are named).
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MetricsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise MetricsError(f"{path}: not a text file; expected lines of {expected}") from None
    return parse_fields(text, path, widths, expected)


def parse_fields(text: str, path: Path, widths: Sequence[int], expected: str) -> Fields:
    """As `read_fields`, from the file's text."""
    rows = [line.split() for line in text.splitlines()]
    lines = [number for number, fields in enumerate(rows, 1) if fields]
    rows = [fields for fields in rows if fields]
    if not rows:
        raise MetricsError(f"{path}: empty; expected lines of {expected}")
    width = len(rows[0]) if len(rows[0]) in widths else widths[0]
    bad = [
        f"line {number} has {len(fields)}" for number, fields in zip(lines, rows, strict=True) if len(fields) != width
    ]
    if bad:
        raise MetricsError(f"{path}: expected {width} fields, {expected}, but {enumerate_some(bad)}")
    return Fields(path, lines, list(zip(*rows, strict=True)))


def read_scores(path: Path) -> ScoreFile:
    """Reads a score file: `utterance_id score`, or `utterance_id attack_id label score`.

    Raises:
        MetricsError: A malformed line, an unknown label, a score that is not finite, a duplicate id; lines are named.
    """
    return _score_file(read_fields(path, (2, 4), SCORE_LINES))


def parse_scores(text: str, source: str) -> ScoreFile:
    """As `read_scores`, from a text (of a git revision, say)."""
    return _score_file(parse_fields(text, Path(source), (2, 4), SCORE_LINES))


SCORE_LINES = "`utterance_id score` or `utterance_id attack_id label score`"


def _score_file(columns: Fields) -> ScoreFile:
    _refuse_duplicates(columns, columns.fields[0])
    scores = columns.numbers(columns.fields[-1])
    attack_ids = labels = None
    if len(columns.fields) == 4:
        attack_ids = np.array(columns.fields[1])
        labels = _labels(columns, columns.fields[2])
    return ScoreFile(np.array(columns.fields[0]), scores, attack_ids, labels, str(columns.path))


def read_protocol(path: Path) -> Protocol:
    """Reads an ASVspoof 2019 protocol: `speaker_id utterance_id - attack_id label`.

    Unlabelled ones have "-" as every label, or only `speaker_id utterance_id`, or only the utterance id.

    Raises:
        MetricsError: A malformed line, an unknown label, a duplicate id; lines are named.
    """
    columns = read_fields(path, (5, 2, 1), "`speaker_id utterance_id - attack_id label`")
    width, n = len(columns.fields), len(columns.lines)
    utterance_ids = columns.fields[0] if width == 1 else columns.fields[1]
    _refuse_duplicates(columns, utterance_ids)
    unknown = np.full(n, NO_ATTACK)
    return Protocol(
        utterance_ids=np.array(utterance_ids),
        speaker_ids=unknown if width == 1 else np.array(columns.fields[0]),
        attack_ids=np.array(columns.fields[3]) if width == 5 else unknown,
        labels=_labels(columns, columns.fields[4]) if width == 5 else None,
        source=str(path),
    )


def _labels(columns: Fields, names: Sequence[str]) -> LabelArray | None:
    if all(name == "-" for name in names):
        return None
    bad = [f"line {columns.lines[i]}: '{name}'" for i, name in enumerate(names) if name not in LABELS]
    if bad:
        raise MetricsError(
            f"{columns.path}: the label must be bonafide or spoof (or - throughout, for unlabelled data), "
            f"found {enumerate_some(bad)}"
        )
    return np.array([LABELS[name] for name in names], dtype=np.int8)


def _refuse_duplicates(columns: Fields, utterance_ids: Sequence[str]) -> None:
    if len(set(utterance_ids)) == len(utterance_ids):
        return
    first: dict[str, int] = {}
    bad = []
    for line, name in zip(columns.lines, utterance_ids, strict=True):
        if first.setdefault(name, line) != line:
            bad.append(f"{name} (lines {first[name]} and {line})")
    raise MetricsError(
        f"{columns.path}: {len(bad):,} duplicate utterance id{'s' * (len(bad) != 1)}: {enumerate_some(bad)}. "
        "Each utterance has one line; were two runs or two splits appended?"
    )


def score_table(
    utterance_ids: Sequence[str] | npt.NDArray[np.str_],
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    attack_ids: Sequence[str] | npt.NDArray[np.str_] | None = None,
    speaker_ids: Sequence[str] | npt.NDArray[np.str_] | None = None,
    source: str = "scores",
) -> ScoreTable:
    """Checks scores that are in memory and makes a table of them.

    Args:
        utterance_ids: str [n].
        scores: float [n], log-odds for bona fide.
        labels: int [n], 1 = bona fide, 0 = spoof.
        attack_ids: str [n], "-" for bona fide; None = unknown throughout.
        speaker_ids: str [n]; None = unknown throughout.
        source: What to call the scores in messages.

    Raises:
        MetricsError: Columns of different length, duplicate ids, scores that are not finite, labels other than 0 and 1, a
            class without trials, or hard decisions.
    """
    names = np.asarray(utterance_ids, dtype=np.str_)
    values = np.asarray(scores, dtype=np.float64)
    flags = np.asarray(labels)
    unknown = np.full(len(names), NO_ATTACK)
    attacks = unknown if attack_ids is None else np.asarray(attack_ids, dtype=np.str_)
    speakers = unknown if speaker_ids is None else np.asarray(speaker_ids, dtype=np.str_)
    lengths = {
        "utterance_ids": names,
        "scores": values,
        "labels": flags,
        "attack_ids": attacks,
        "speaker_ids": speakers,
    }
    if len({column.shape for column in lengths.values()}) != 1 or names.ndim != 1:
        shapes = ", ".join(f"{key} {column.shape}" for key, column in lengths.items())
        raise MetricsError(f"{source}: columns differ in shape: {shapes}")

    repeated, counts = np.unique(names, return_counts=True)
    duplicates = repeated[counts > 1].tolist()
    if duplicates:
        raise MetricsError(f"{source}: {len(duplicates):,} duplicate utterance ids: {enumerate_some(duplicates)}")
    bad = [f"{names[i]} ({values[i]})" for i in np.flatnonzero(~np.isfinite(values))]
    if bad:
        raise MetricsError(f"{source}: {len(bad):,} of {len(names):,} scores are not finite: {enumerate_some(bad)}")
    odd = [f"{names[i]} ({flags[i]})" for i in np.flatnonzero((flags != 0) & (flags != 1))]
    if odd:
        raise MetricsError(f"{source}: a label must be 1 (bona fide) or 0 (spoof): {enumerate_some(odd)}")
    for label, other in ((1, 0), (0, 1)):
        if not np.any(flags == label):
            raise MetricsError(
                f"{source}: no {LABEL_NAMES[label]} utterance among {len(names):,}, all are {LABEL_NAMES[other]}: an error rate "
                "needs both classes"
            )
    refuse_hard_decisions(len(np.unique(values)), f"{source}: ")
    return ScoreTable(names, values, flags.astype(np.int8), attacks, speakers, source)


def join(file: ScoreFile, protocol: Protocol) -> ScoreTable:
    """Gives every utterance of a protocol its score, in the protocol's order.

    Labels, attacks and speakers are the protocol's.

    Raises:
        MetricsError: The protocol is unlabelled, ids are missing on either side (another corpus, if all are), labels
            contradict each other, or the table fails a check of `score_table`.
    """
    if protocol.labels is None:
        raise MetricsError(
            f"{protocol.source} has no labels: scores can be made for it, but no error rate. "
            "Give a protocol with bonafide and spoof"
        )
    place = {name: i for i, name in enumerate(file.utterance_ids.tolist())}
    wanted = protocol.utterance_ids.tolist()
    unscored = [name for name in wanted if name not in place]
    if len(unscored) == len(wanted):
        raise MetricsError(
            f"{file.source} scores another corpus or split than {protocol.source}: not one of its {len(place):,} utterance ids "
            f"({enumerate_some(list(place), 2)}) is among the protocol's {len(wanted):,} ({enumerate_some(wanted, 2)})"
        )
    if unscored:
        raise MetricsError(
            f"{file.source}: no score for {len(unscored):,} of the {len(wanted):,} utterances of {protocol.source}: "
            f"{enumerate_some(unscored)}. An error rate over the rest would flatter; score them, or take them out of the protocol"
        )
    if len(place) > len(wanted):
        known = set(wanted)
        strangers = [name for name in place if name not in known]
        raise MetricsError(
            f"{file.source}: {len(strangers):,} scored utterances are not in {protocol.source}: {enumerate_some(strangers)}. "
            "Is the protocol that of another split, or cut short?"
        )
    order = np.array([place[name] for name in wanted])
    if file.labels is not None:
        differing = [
            f"{wanted[i]} ({LABEL_NAMES[file.labels[order[i]]]}, protocol: {LABEL_NAMES[protocol.labels[i]]})"
            for i in np.flatnonzero(file.labels[order] != protocol.labels)
        ]
        if differing:
            raise MetricsError(
                f"{file.source}: the label of {len(differing):,} utterances contradicts {protocol.source}: "
                f"{enumerate_some(differing)}"
            )
    return score_table(
        protocol.utterance_ids,
        file.scores[order],
        protocol.labels,
        protocol.attack_ids,
        protocol.speaker_ids,
        file.source,
    )


def labelled_table(file: ScoreFile) -> ScoreTable:
    """A score file of four columns as a table by itself; speakers are unknown.

    Raises:
        MetricsError: It has no labels, or fails a check of `score_table`.
    """
    if file.labels is None:
        raise MetricsError(f"{file.source} has scores but no labels: give the protocol of its corpus (--protocol)")
    return score_table(file.utterance_ids, file.scores, file.labels, file.attack_ids, None, file.source)


def read_score_table(scores: Path, protocol: Path | None = None) -> ScoreTable:
    """Reads a score file and joins it with its protocol; one of four columns can do without.

    Raises:
        MetricsError: As `read_scores`, `read_protocol`, `join` and `labelled_table`.
    """
    file = read_scores(scores)
    return labelled_table(file) if protocol is None else join(file, read_protocol(protocol))


def format_scores(
    utterance_ids: Sequence[str], scores: npt.ArrayLike, attack_ids: Sequence[str], labels: Sequence[int | None]
) -> str:
    """The text of a score file of four columns; scores keep every digit, a label of None is written "-"."""
    names = {1: "bonafide", 0: "spoof", None: "-"}
    values = np.asarray(scores, dtype=np.float64).tolist()
    rows = zip(utterance_ids, attack_ids, labels, values, strict=True)
    return "".join(f"{name} {attack} {names[label]} {value!r}\n" for name, attack, label, value in rows)
