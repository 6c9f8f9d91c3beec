"""Score files with named fields, as `bonafide score` writes them: CSV with a header, and JSON Lines.

Fields: `score`; the utterance as `utterance_id`, or as the file (`path`, `file`), whose name without folder and ending is then
the id; maybe `attack_id` and `label`. Other fields are ignored. A file without a score, or named twice, is an error.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from model.metrics.errors import MetricsError, enumerate_some
from model.metrics.fields import NO_VALUE, Fields

_IDS = ("utterance_id", "path", "file")
_FORMULA_STARTS = ("=", "+", "-", "@")


def parse_records(text: str, source: str) -> Fields | None:
    """The columns utterance id, attack, label and score of a file with named fields; None for any other file.

    Args:
        text: Of the file.
        source: Of the file, for messages.

    Raises:
        MetricsError: A line is malformed, no field names the utterance, or an utterance has no score; lines are named.
    """
    first = text.lstrip().partition("\n")[0].strip()
    if first.startswith("{"):
        return _columns(_json_lines(text, source), source)
    if "score" in (header := next(csv.reader([first]), [])) and len(header) > 1:
        return _columns(_csv_rows(text), source)
    return None


def _json_lines(text: str, source: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise MetricsError(f"{source}: line {number} is no JSON object: {error}") from None
        if not isinstance(record, dict):
            raise MetricsError(f"{source}: line {number} is no JSON object")
        yield number, record


def _csv_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    rows = csv.DictReader(io.StringIO(text.lstrip()))
    for row in rows:
        yield rows.line_num, row


def _columns(records: Iterator[tuple[int, Mapping[str, Any]]], source: str) -> Fields:
    lines: list[int] = []
    rows: list[tuple[str, str, str, str]] = []
    unscored = []
    for number, record in records:
        name = _utterance_id(record)
        if name is None:
            raise MetricsError(f"{source}: line {number} names no utterance: it needs a field {', '.join(_IDS)}")
        score = record.get("score")
        if score is None or score == "":
            unscored.append(f"line {number} ({name}): {record.get('problem') or 'no reason given'}")
            continue
        attack, label = (_cell(record.get(field)) or NO_VALUE for field in ("attack_id", "label"))
        lines.append(number)
        rows.append((name, attack, label.replace("bona fide", "bonafide"), str(score)))
    if unscored:
        raise MetricsError(
            f"{source}: {len(unscored):,} utterance{'s' * (len(unscored) != 1)} without a score: {enumerate_some(unscored)}. "
            "An error rate of the rest would say nothing of them; mend or remove these files"
        )
    if not rows:
        raise MetricsError(f"{source}: empty; it holds no score")
    columns: Sequence[tuple[str, ...]] = list(zip(*rows, strict=True))
    return Fields(source, lines, list(columns))


def _utterance_id(record: Mapping[str, Any]) -> str | None:
    for field in _IDS:
        if value := _cell(record.get(field)):
            return value if field == "utterance_id" else PurePosixPath(value).stem
    return None


def _cell(value: Any) -> str:
    """A value as text, without the apostrophe that keeps a spreadsheet from taking it for a formula; "" for None."""
    text = "" if value is None else str(value)
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA_STARTS) else text
