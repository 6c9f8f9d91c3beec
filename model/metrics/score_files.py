"""Reads and writes score files and protocols: text files whose fields are separated by white space, or named in each record.

A malformed line is an error that names the file, its lines and its utterances. Byte-order marks, CRLF, tabs and blank lines are
accepted. `model.metrics.score_table` joins scores with labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.metrics.errors import MetricsError, enumerate_some
from model.metrics.fields import NO_VALUE, Fields, parse_fields, read_fields, read_text
from model.metrics.rates import FloatArray
from model.metrics.score_records import parse_records

StringArray = npt.NDArray[np.str_]
LabelArray = npt.NDArray[np.int8]

LABEL_NAMES = {1: "bonafide", 0: "spoof"}

_LABELS = {name: label for label, name in LABEL_NAMES.items()}
_SCORE_WIDTHS = (2, 4)
_SCORE_LINES = "`utterance_id score` or `utterance_id attack_id label score`"


@dataclass(frozen=True, eq=False)
class Protocol:
    """Speaker, attack and label of each utterance of a split.

    Attributes:
        utterance_ids: str [n].
        speaker_ids: str [n]; "-" where unknown.
        attack_ids: str [n]; "-" for bona fide and where unknown.
        labels: int8 [n], 1 = bona fide, 0 = spoof; None for an unlabelled protocol.
        source: The file, for messages.
    """

    utterance_ids: StringArray
    speaker_ids: StringArray
    attack_ids: StringArray
    labels: LabelArray | None
    source: str = "protocol"


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """A score file as read: finite scores, unique ids, and labels if the file has them.

    Attributes:
        utterance_ids: str [n], unique.
        scores: float64 [n], finite.
        attack_ids: str [n], or None for a file of two columns.
        labels: int8 [n], or None for a file of two columns or with "-" as every label.
        source: The file, for messages.
    """

    utterance_ids: StringArray
    scores: FloatArray
    attack_ids: StringArray | None
    labels: LabelArray | None
    source: str


def read_scores(path: Path) -> ScoreFile:
    """Reads a score file: lines of `utterance_id score` or `utterance_id attack_id label score`, or CSV or JSON Lines.

    The content tells which; `model.metrics.score_records` describes the last two.

    Raises:
        MetricsError: A malformed line, an unknown label, a score that is not finite, a duplicate id; the message names the lines.
    """
    return parse_scores(read_text(path, _SCORE_LINES), str(path))


def parse_scores(text: str, source: str) -> ScoreFile:
    """As `read_scores`, from the text of a file; `source` names it in messages."""
    records = parse_records(text, source)
    return _score_file(parse_fields(text, source, _SCORE_WIDTHS, _SCORE_LINES) if records is None else records)


def _score_file(columns: Fields) -> ScoreFile:
    _refuse_duplicates(columns, columns.fields[0])
    scores = columns.numbers(columns.fields[-1])
    attack_ids = labels = None
    if len(columns.fields) == 4:
        attack_ids = np.array(columns.fields[1])
        labels = _labels(columns, columns.fields[2])
    return ScoreFile(np.array(columns.fields[0]), scores, attack_ids, labels, columns.source)


def read_protocol(path: Path) -> Protocol:
    """Reads an ASVspoof 2019 protocol: `speaker_id utterance_id - attack_id label`.

    An unlabelled protocol has "-" as every label, or only `speaker_id utterance_id`, or only the utterance id.

    Raises:
        MetricsError: A malformed line, an unknown label, a duplicate id; the message names the lines.
    """
    columns = read_fields(path, (5, 2, 1), "`speaker_id utterance_id - attack_id label`")
    width, n = len(columns.fields), len(columns.lines)
    utterance_ids = columns.fields[0] if width == 1 else columns.fields[1]
    _refuse_duplicates(columns, utterance_ids)
    unknown = np.full(n, NO_VALUE)
    return Protocol(
        utterance_ids=np.array(utterance_ids),
        speaker_ids=unknown if width == 1 else np.array(columns.fields[0]),
        attack_ids=np.array(columns.fields[3]) if width == 5 else unknown,
        labels=_labels(columns, columns.fields[4]) if width == 5 else None,
        source=str(path),
    )


def _labels(columns: Fields, names: Sequence[str]) -> LabelArray | None:
    if all(name == NO_VALUE for name in names):
        return None
    bad = [f"line {columns.lines[i]}: '{name}'" for i, name in enumerate(names) if name not in _LABELS]
    if bad:
        raise MetricsError(
            f"{columns.source}: the label must be bonafide or spoof (or - throughout, for unlabelled data), "
            f"found {enumerate_some(bad)}"
        )
    return np.array([_LABELS[name] for name in names], dtype=np.int8)


def _refuse_duplicates(columns: Fields, utterance_ids: Sequence[str]) -> None:
    if len(set(utterance_ids)) == len(utterance_ids):
        return
    first: dict[str, int] = {}
    bad = []
    for line, name in zip(columns.lines, utterance_ids, strict=True):
        if first.setdefault(name, line) != line:
            bad.append(f"{name} (lines {first[name]} and {line})")
    raise MetricsError(
        f"{columns.source}: {len(bad):,} duplicate utterance id{'s' * (len(bad) != 1)}: {enumerate_some(bad)}. "
        "Each utterance has one line; were two runs or two splits appended?"
    )


def format_scores(
    utterance_ids: Sequence[str], scores: npt.ArrayLike, attack_ids: Sequence[str], labels: Sequence[int | None]
) -> str:
    """The text of a score file of four columns; every digit of a score is kept, and a label of None becomes "-"."""
    names = [NO_VALUE if label is None else LABEL_NAMES[label] for label in labels]
    values = np.asarray(scores, dtype=np.float64).tolist()
    rows = zip(utterance_ids, attack_ids, names, values, strict=True)
    return "".join(f"{utterance_id} {attack_id} {name} {value!r}\n" for utterance_id, attack_id, name, value in rows)
