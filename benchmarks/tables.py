"""The rows of the benchmarks as a table on the terminal and as Markdown in docs/performance.md."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.harness import TIMES, more_is_better

COLUMNS = ("what", "peer", "ratio", "spread", "target", "met", "note")
WIDTH = 100
WIDTHS = {"what": 25, "peer": 18, "ratio": 11, "spread": 12, "target": 7, "met": 8}
"""Of the columns on the terminal; they and the spaces between them make `WIDTH`."""


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of one row, in the order of `COLUMNS`."""
    unit = row.get("unit", TIMES)
    met = {True: "yes", False: "no", None: ""}[row["met"]]
    ratio = "–" if row["ratio"] is None else _figure(row["ratio"], unit)
    spread = "" if row["spread"] is None else " to ".join(_number(value) for value in row["spread"])
    target = ""
    if row["target"] is not None:
        target = f"{'≥' if more_is_better(unit) else '≤'} {_number(row['target'])}"
    if row["met"] is False:
        met = f"no, {_missing(row):.0f} %"
    return row["name"], row["peer"], ratio, spread, target, met, row.get("note", "")


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints rows as a table of at most 100 columns, the note of each below its name."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in COLUMNS[:-1]:
        table.add_column(
            column, justify="right" if column in ("ratio", "target") else "left", width=WIDTHS[column], overflow="fold"
        )
    for row in rows:
        what, peer, ratio, spread, target, met, note = cells(row)
        colour = {True: "green", False: "red", None: "dim"}[row["met"]]
        name = f"{what}\n[dim]{escape(note)}[/dim]" if note else what
        table.add_row(name, peer, f"[bold]{ratio}[/bold]", spread, target, f"[{colour}]{met}[/{colour}]")
    Console(width=WIDTH).print(table)


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |", "| --- | --- | ---: | ---: | ---: | --- | --- |"]
    lines += [f"| {' | '.join(text.replace('|', '/') for text in cells(row))} |" for row in rows]
    return "\n".join(lines)


def machine_line(machine: Mapping[str, Any]) -> str:
    """One paragraph about the machine of a run."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}; "
        f"run on {machine['date']} in {machine['minutes']:.0f} minutes. {versions}."
    )


def filled(text: str, parts: Mapping[str, str]) -> str:
    """Puts parts into a Markdown text, each between its pair of comments.

    Args:
        text: Has `<!-- benchmarks: NAME -->` and `<!-- end -->` around each place.
        parts: By name. A place whose name is not among them is left as it is.
    """

    def fill(match: re.Match[str]) -> str:
        content = parts.get(match["name"])
        return match[0] if content is None else f"{match['begin']}\n{content}\n<!-- end -->"

    return re.sub(r"(?P<begin><!-- benchmarks: (?P<name>\w+) -->)\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def _missing(row: Mapping[str, Any]) -> float:
    """By how many per cent of the target a figure misses it."""
    return 100.0 * abs(row["ratio"] - row["target"]) / row["target"]


def _figure(value: float, unit: str) -> str:
    return f"{_number(value)} {'×' if unit == TIMES else unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"
