"""Output of the commands for people: tables, progress bars, sizes. Messages go to standard error, results to standard output.

Text is never markup: names from a corpus print as they are, without their control characters. Colours are styles.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text
from typing_extensions import override

from pipeline.text import printable


class _PlainConsole(Console):
    """A console that prints every string as it is: no markup, no emoji codes, no control characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    @override
    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


console = _PlainConsole(stderr=True)


def warn(text: str) -> None:
    """Prints a warning to standard error."""
    console.print(f"warning: {text}", style="yellow", soft_wrap=True)


@contextmanager
def progress_bar(unit: str, redirect_stdout: bool = True) -> Iterator[Progress]:
    """A bar with counts, the rate in `unit` per second and the time left.

    Args:
        unit: What is counted.
        redirect_stdout: Whether what goes to standard output meanwhile is shown above the bar; False if that is a file.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TextColumn(unit),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, refresh_per_second=4, expand=True, redirect_stdout=redirect_stdout
    ) as progress:
        yield progress


def table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table whose first column is left-aligned and whose others are right-aligned.

    Args:
        title: Above the table.
        headings: Of the columns.
        rows: Cells are printed as `str` gives them, or as they are if they are rich `Text`.
    """
    result = Table(title=title, title_justify="left", title_style="bold")
    for number, heading in enumerate(headings):
        result.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in rows:
        result.add_row(*(cell if isinstance(cell, Text) else str(cell) for cell in row))
    return result


def size(n_bytes: float) -> str:
    """A number of bytes in the largest binary unit that keeps it at or above 1."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.1f} TiB"


def duration(seconds: float) -> str:
    """A time span in hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def results() -> Console:
    """The console for what a command was asked for: standard output, 100 columns wide if that is not a terminal."""
    output = _PlainConsole()
    return output if output.is_terminal else _PlainConsole(width=100)


def print_json(value: Any) -> None:
    """Prints a value as JSON to standard output."""
    typer.echo(json.dumps(value, indent=2, sort_keys=True, allow_nan=False))
