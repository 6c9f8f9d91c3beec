"""The columns of text files whose fields are separated by white space: score files, protocols, ASV scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.metrics.errors import MetricsError, enumerate_some
from model.metrics.rates import FloatArray

NO_VALUE = "-"
"""Marks an attack, a speaker or a label that is absent or unknown."""


@dataclass(frozen=True)
class Fields:
    """The columns of a text file whose fields are separated by white space.

    Attributes:
        source: The file, for messages.
        lines: Line number of each row, from 1.
        fields: One sequence per column.
    """

    source: str
    lines: list[int]
    fields: list[tuple[str, ...]]

    def numbers(self, texts: Sequence[str]) -> FloatArray:
        """A column as float64.

        Raises:
            MetricsError: Some texts are not numbers, or not finite; the message names their lines.
        """
        values = np.array([_float(text) for text in texts])
        wrong = np.flatnonzero(~np.isfinite(values))
        bad = [f"line {self.lines[i]} ({self.fields[0][i]}): '{texts[i]}'" for i in wrong]
        if bad:
            raise MetricsError(
                f"{self.source}: {len(bad):,} score{'s' * (len(bad) != 1)} not a finite number: {enumerate_some(bad)}. "
                "Scores must be finite log-odds; leave out a header line"
            )
        return values


def read_fields(path: Path, widths: Sequence[int], expected: str) -> Fields:
    """Reads a text file whose lines all have the same number of fields.

    Args:
        path: The file.
        widths: Numbers of fields allowed.
        expected: What a line looks like, for the message.

    Raises:
        MetricsError: The file is missing, empty or not text, or a line has another number of fields; the message names the
            lines.
    """
    return parse_fields(read_text(path, expected), str(path), widths, expected)


def read_text(path: Path, expected: str) -> str:
    """The text of a file, without a byte order mark.

    Args:
        path: The file.
        expected: What a line looks like, for the message.

    Raises:
        MetricsError: The file is missing or not text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MetricsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise MetricsError(f"{path}: not a text file; expected lines of {expected}") from None


def parse_fields(text: str, source: str, widths: Sequence[int], expected: str) -> Fields:
    """As `read_fields`, from the file's text."""
    rows = [line.split() for line in text.splitlines()]
    lines = [number for number, fields in enumerate(rows, 1) if fields]
    rows = [fields for fields in rows if fields]
    if not rows:
        raise MetricsError(f"{source}: empty; expected lines of {expected}")
    width = len(rows[0]) if len(rows[0]) in widths else widths[0]
    bad = [
        f"line {number} has {len(fields)}" for number, fields in zip(lines, rows, strict=True) if len(fields) != width
    ]
    if bad:
        raise MetricsError(f"{source}: expected {width} fields, {expected}, but {enumerate_some(bad)}")
    return Fields(source, lines, list(zip(*rows, strict=True)))


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
