"""How `bonafide score` writes its records: lines for people, CSV, JSON, JSON Lines, and the form of ASVspoof."""

import csv
import json
import sys
from contextlib import ExitStack, suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

import typer

from pipeline.text import csv_cell, printable

if TYPE_CHECKING:
    from model.scoring.results import FileScore, Terms

_STYLES: Final = {"bona fide": "green", "spoof": "red", "uncertain": "yellow", None: "red"}


class Format(str, Enum):
    """What goes to standard output."""

    text = "text"
    asvspoof = "asvspoof"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"


class ScoreWriter(Protocol):
    """Takes records one after the other."""

    def write(self, record: "FileScore") -> None:
        """Writes one record at once."""


def open_writer(kind: Format, terms: "Terms", stack: ExitStack, path: Path | None = None) -> ScoreWriter:
    """The writer of a format.

    Args:
        kind: The format.
        terms: Of the detector, which some formats state.
        stack: Closes what was opened.
        path: A file; None for standard output.
    """
    if kind is Format.text:
        return TextWriter(terms)
    if kind is Format.csv:
        return CsvWriter(sys.stdout)
    if kind is Format.asvspoof:
        return AsvspoofWriter()
    if kind is Format.json:
        return stack.enter_context(JsonWriter(terms))
    return JsonLinesWriter(terms, sys.stdout if path is None else _opened(path, stack))


def _opened(path: Path, stack: ExitStack) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return stack.enter_context(path.open("w", encoding="utf-8", newline=""))


class TextWriter:
    """One line a file, with the terms above."""

    def __init__(self, terms: "Terms") -> None:
        for line in terms.lines():
            typer.echo(line)
        typer.echo(f"\n{'verdict':<10} {'probability':>11} {'score':>7} {'duration':>10}  file")

    def write(self, record: "FileScore") -> None:
        """Prints the line of a record."""
        path = printable(record.path)
        if record.problem is not None:
            verdict, rest = "-", f"{'':>11} {'':>7} {'':>10}  {path}: {printable(record.problem)}"
        else:
            verdict = str(record.verdict)
            figures = f"{record.probability:>11.1%} {record.score:>+7.2f} {record.duration_s:>8.2f} s"
            rest = f"{figures}  {path}{_notes(record)}"
        typer.secho(f"{verdict:<10} ", fg=_STYLES[record.verdict], nl=False)
        typer.echo(rest)
        sys.stdout.flush()


def _notes(record: "FileScore") -> str:
    """Reason, warnings and suspicious stretches, in brackets."""
    notes = [warning.message for warning in record.warnings]
    if record.reason is not None and record.reason not in notes:
        notes.insert(0, record.reason)
    if record.suspicious and record.verdict != "spoof":
        places = ", ".join(f"{part.start_s:.1f}-{part.end_s:.1f}" for part in record.suspicious[:5])
        more = f" and {len(record.suspicious) - 5} more" if len(record.suspicious) > 5 else ""
        notes.append(f"suspicious at {places}{more} s")
    return f"  [{'; '.join(notes)}]" if notes else ""


class CsvWriter:
    """One row a file, without the score over time."""

    _COLUMNS: Final = (
        *("path", "verdict", "reason", "score", "probability", "threshold", "duration_s"),
        *("warnings", "suspicious", "problem"),
    )

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(self._COLUMNS)

    @classmethod
    def to(cls, path: Path, stack: ExitStack) -> "CsvWriter":
        """Into a file, which the stack closes."""
        return cls(_opened(path, stack))

    def write(self, record: "FileScore") -> None:
        """Writes the row of a record."""
        row = {name: getattr(record, name) for name in self._COLUMNS}
        row["warnings"] = " ".join(warning.name for warning in record.warnings)
        row["suspicious"] = " ".join(f"{part.start_s:.2f}-{part.end_s:.2f}" for part in record.suspicious)
        self._writer.writerow([csv_cell(row[name]) for name in self._COLUMNS])
        self._file.flush()


class JsonLinesWriter:
    """One JSON object a file and line, with the terms."""

    def __init__(self, terms: "Terms", file: TextIO) -> None:
        self._terms = terms.as_dict()
        self._file = file

    def write(self, record: "FileScore") -> None:
        """Writes the line of a record."""
        self._file.write(f"{json.dumps(self.content(record), sort_keys=True, allow_nan=False)}\n")
        self._file.flush()

    def content(self, record: "FileScore") -> dict[str, Any]:
        """The object of a record."""
        return {**record.as_dict(), "terms": self._terms}


class JsonWriter:
    """One JSON array of the objects of JSON Lines, written as they come."""

    def __init__(self, terms: "Terms") -> None:
        self._lines = JsonLinesWriter(terms, sys.stdout)
        self._separator = "["

    def __enter__(self) -> "JsonWriter":
        return self

    def write(self, record: "FileScore") -> None:
        """Writes one element."""
        text = json.dumps(self._lines.content(record), indent=2, sort_keys=True, allow_nan=False)
        sys.stdout.write(f"{self._separator}\n{text}")
        sys.stdout.flush()
        self._separator = ","

    def __exit__(self, *_error: object) -> None:
        with suppress(BrokenPipeError):
            sys.stdout.write("[]\n" if self._separator == "[" else "\n]\n")


class AsvspoofWriter:
    """The form of ASVspoof 2021: a file's name without folder and ending, and its score; files without a score are left out."""

    def write(self, record: "FileScore") -> None:
        """Writes the line of a record, if it has a score."""
        if record.score is not None:
            sys.stdout.write(f"{printable(Path(record.path).stem)} {record.score!r}\n")
            sys.stdout.flush()
