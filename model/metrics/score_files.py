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
    _refuse_commas(columns)
    if len(columns.fields) == 2:
        _refuse_words(columns, columns.fields[1], "a list of files and labels, not one of scores")
    _refuse_duplicates(columns, columns.fields[0])
    scores = columns.numbers(columns.fields[-1])
    attack_ids = labels = None
    if len(columns.fields) == 4:
        attack_ids = np.array(columns.fields[1])
        labels = _labels(columns, columns.fields[2])
    return ScoreFile(np.array(columns.fields[0]), scores, attack_ids, labels, columns.source)


_PROTOCOL_LINES = "`speaker_id utterance_id - attack_id label`, or the keys of ASVspoof 2021 or 5"
# Columns of attack and label by the number of columns: ASVspoof 2019, 2021 LA, 2021 DF, 5. Speaker and utterance come first.
_PROTOCOL_COLUMNS = {5: (3, 4), 8: (4, 5), 13: (4, 5), 10: (7, 8)}
_CLASS_WORDS = frozenset({"bonafide", "bona-fide", "genuine", "real", "human", "spoof", "spoofed", "fake", "deepfake"})


def read_protocol(path: Path) -> Protocol:
    """Reads a protocol of ASVspoof: `speaker_id utterance_id - attack_id label`, or keys of 2021 LA or DF or of ASVspoof 5.

    An unlabelled protocol has "-" as every label, or only `speaker_id utterance_id`, or only the utterance id. A first line
    with the names of the columns is left out.

    Raises:
        MetricsError: A malformed line, an unknown label, a duplicate id, a list of files and labels; the message names the lines.
    """
    columns = read_fields(path, (*_PROTOCOL_COLUMNS, 2, 1), _PROTOCOL_LINES)
    width = len(columns.fields)
    attack, label = _PROTOCOL_COLUMNS.get(width, (0, 0))
    if label and columns.fields[label][0].lower() in ("key", "label") and len(columns.lines) > 1:
        columns = Fields(columns.source, columns.lines[1:], [column[1:] for column in columns.fields])
    if width == 2:
        what = f"a list of files and labels, not a protocol; give the labels as lines of {_PROTOCOL_LINES}"
        _refuse_words(columns, columns.fields[1], what)
    utterance_ids = [name.removesuffix(".flac") for name in columns.fields[0 if width == 1 else 1]]
    _refuse_duplicates(columns, utterance_ids)
    unknown = np.full(len(columns.lines), NO_VALUE)
    return Protocol(
        utterance_ids=np.array(utterance_ids),
        speaker_ids=unknown if width == 1 else np.array(columns.fields[0]),
        attack_ids=np.array([_attack(name) for name in columns.fields[attack]]) if label else unknown,
        labels=_labels(columns, columns.fields[label]) if label else None,
        source=str(path),
    )


def _attack(name: str) -> str:
    """An attack; the keys of ASVspoof 2021 and 5 have "bonafide" where there is none."""
    return NO_VALUE if name == LABEL_NAMES[1] else name


def _refuse_words(columns: Fields, texts: Sequence[str], what: str) -> None:
    """Refuses a column of words for the classes where something else is expected."""
    words = dict.fromkeys(texts)
    if all(word.lower() in _CLASS_WORDS for word in words):
        raise MetricsError(f"{columns.source}: column 2 holds {'/'.join(words)}: this looks like {what}")


def _refuse_commas(columns: Fields) -> None:
    """Refuses lines whose fields end with commas, such as those of a log, before their first field is taken for an id."""
    if not all(name.endswith(",") for name in columns.fields[0]):
        return
    line = " ".join(column[0] for column in columns.fields)
    is_id = [len({*column}) == len(column) and not _is_number(column[0].strip(",")) for column in columns.fields]
    advice = (
        f"; awk -F', *' '{{print ${is_id.index(True) + 1}, ${len(is_id)}}}' makes lines of id and score of it"
        if True in is_id
        else ""
    )
    raise MetricsError(
        f"{columns.source}: its fields end with commas ({line}): this looks like a log or CSV, not {_SCORE_LINES}{advice}"
    )


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


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
