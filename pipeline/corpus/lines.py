"""Lines and rows of protocols: read in bounded pieces, each with its place, whatever the file holds."""

import csv
import itertools
from collections.abc import Iterator
from typing import IO, Any, Final

import pyarrow.parquet as pq

from pipeline.corpus.labels import NO_VALUE
from pipeline.corpus.places import CorpusPath
from pipeline.errors import ProtocolError
from pipeline.text import control_character

_ROWS_AT_ONCE: Final = 4096
_LONGEST_LINE: Final = 1 << 16
# A path below a root; file names have at most 255 bytes.
_LONGEST_FIELD: Final = 1024


def text_lines(path: CorpusPath) -> Iterator[tuple[int, str]]:
    """Number and text of every line of a file that is not blank.

    Raises:
        ProtocolError: The file cannot be read, is no UTF-8 text, or has a line that no protocol has.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(_lines(file, path), start=1):
                if line := line.strip():
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def table_rows(path: CorpusPath) -> Iterator[tuple[str, dict[str, str] | None]]:
    """Place and values of every row of a CSV or Parquet table, by column; None for a row with more fields than columns.

    Raises:
        ProtocolError: The file cannot be read as a table.
    """
    for where, row in _raw_rows(path):
        if None in row:
            yield where, None
        else:
            yield where, {key.strip(): "" if value is None else str(value).strip() for key, value in row.items()}


def field_problem(value: str) -> str | None:
    """What is wrong with the text of a field, as the end of a sentence; None if nothing is."""
    if control_character(value):
        return "has a control character; remove it"
    return f"has more than {_LONGEST_FIELD} characters" if len(value) > _LONGEST_FIELD else None


def value_of(field: str) -> str | None:
    """The value of a field, None where it has none."""
    return None if field in (NO_VALUE, "") else field


def _raw_rows(path: CorpusPath) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        if path.suffix.lower() == ".parquet":
            # Arrow opens no path whose name is not UTF-8.
            with path.open("rb") as binary, pq.ParquetFile(binary) as table:
                rows = itertools.chain.from_iterable(batch.to_pylist() for batch in table.iter_batches(_ROWS_AT_ONCE))
                for number, row in enumerate(rows, start=1):
                    yield f"{path}:row {number}", row
            return
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in (reader := csv.DictReader(_lines(file, path))):
                yield f"{path}:{reader.line_num}", row
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ProtocolError(f"{path}: cannot be read as a CSV or Parquet table: {error}") from error


def _lines(file: IO[str], path: CorpusPath) -> Iterator[str]:
    """The lines of a file, none of which may be longer than any protocol's: a file without ends of lines may be endless."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise ProtocolError(
                f"{path}:{number}: the line has {_LONGEST_LINE:,} characters or more; is this a protocol?"
            )
        yield line
