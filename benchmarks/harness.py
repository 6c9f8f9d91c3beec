"""What the benchmarks share: CPU times of two functions in turn, the rows that they report, and their command line.

A time is CPU time of the process, all threads together, so other load on the machine lengthens no time by waiting. Two
functions take turns item by item, and the order changes from item to item, so that caches and clock rates treat both alike.
A ratio is the peer's time over ours in one pass over all items; the figure is the median of the passes, and the spread
their lowest and highest. Above 1 is faster than the peer.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from pipeline.runners.beam_log import hush_beam

hush_beam()
# Read by the libraries when they are imported, which is after this module.
ONE_THREAD: Final = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
os.environ.update(ONE_THREAD)

REPOSITORY: Final = Path(__file__).resolve().parent.parent
TIMES: Final = "x"
"""The unit of a ratio."""


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: What was measured.
        peer: What it was compared with.
        ratio: The median: of the ratios if the unit is `TIMES`, otherwise of the values in that unit; None if skipped.
        spread: Lowest and highest of the passes; None if skipped.
        target: What it should reach: at least this ratio or rate, at most this value in any other unit.
        unit: `TIMES`, or the unit of a figure that has no peer, such as "ms".
        note: The times behind a ratio, or why there is no figure.
    """

    name: str
    peer: str
    ratio: float | None
    spread: tuple[float, float] | None
    target: float | None = None
    unit: str = TIMES
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without a target or a figure."""
        if self.target is None or self.ratio is None:
            return None
        return self.ratio >= self.target if more_is_better(self.unit) else self.ratio <= self.target

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON values."""
        return {
            "name": self.name,
            "peer": self.peer,
            "ratio": None if self.ratio is None else _rounded(self.ratio),
            "spread": None if self.spread is None else [_rounded(value) for value in self.spread],
            "target": self.target,
            "met": self.met,
            "unit": self.unit,
            "note": self.note,
        }


def more_is_better(unit: str) -> bool:
    """Whether a target in this unit is a lower bound: ratios and rates; times and sizes have upper bounds."""
    return unit == TIMES or unit.endswith("/s")


def skipped(name: str, peer: str, reason: str, target: float | None = None) -> Row:
    """A row without a figure, because its peer is not installed here."""
    return Row(name, peer, None, None, target, note=f"skipped: {reason}")


def absolute(name: str, values: Sequence[float], unit: str, target: float | None, note: str = "") -> Row:
    """A figure without a peer, with a limit or without: the median of some values."""
    median = float(statistics.median(values))
    return Row(
        name,
        "none" if target is None else "limit",
        median,
        (float(min(values)), float(max(values))),
        target,
        unit,
        note,
    )


@dataclass
class Pairs:
    """CPU seconds of both sides, one entry per pass over all items."""

    own_s: list[float] = field(default_factory=list)
    peer_s: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """The peer's time over ours, pass by pass."""
        return [peer / own for own, peer in zip(self.own_s, self.peer_s, strict=True)]

    def row(self, name: str, peer: str, target: float | None, n_items: int, item: str) -> Row:
        """The row of these passes; the note states the median time of each side for one item."""
        ratios = self.ratios
        own, other = (1e3 * statistics.median(times) / n_items for times in (self.own_s, self.peer_s))
        note = f"{own:.3g} against {other:.3g} ms a {item}"
        return Row(name, peer, statistics.median(ratios), (min(ratios), max(ratios)), target, note=note)


def cpu_s(function: Callable[[], Any]) -> float:
    """CPU seconds of one call in this process, all its threads together."""
    start = time.process_time()
    function()
    return time.process_time() - start


def in_turn(
    own: Callable[[Any], Any], peer: Callable[[Any], Any], items: Sequence[Any], passes: int, warm: bool = True
) -> Pairs:
    """Times two functions item by item, in turn.

    Args:
        own: Takes an item.
        peer: Does the same with it in another way.
        items: What to call them with.
        passes: Passes over all items.
        warm: Calls both once before, which compiles, imports and fills caches.
    """
    pairs = Pairs()
    if warm:
        own(items[0])
        peer(items[0])
    for number in range(passes):
        spent = {own: 0.0, peer: 0.0}
        for position, item in enumerate(items):
            order = (own, peer) if (number + position) % 2 else (peer, own)
            for function in order:
                start = time.process_time()
                function(item)
                spent[function] += time.process_time() - start
        pairs.own_s.append(spent[own])
        pairs.peer_s.append(spent[peer])
    return pairs


def child_cpu_s(command: Sequence[str], **environment: str) -> float:
    """CPU seconds of a command and the processes that it waited for.

    Raises:
        RuntimeError: The command failed; the message has the end of its output.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=REPOSITORY, env={**os.environ, **environment}, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def installed(*packages: str) -> dict[str, str]:
    """Versions of the installed ones of some packages."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has; it adds its own."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--json", type=Path, metavar="FILE", help="write the rows to this file, too")
    result.add_argument("--passes", type=int, default=9, help="passes over all items (default: %(default)s)")
    return result


def report(title: str | None, rows: Sequence[Row], file: Path | None) -> None:
    """Prints the rows as a table and writes them to a file, if one is given.

    Args:
        title: The docstring of the benchmark; its first paragraph is printed above the table.
        rows: To report.
        file: For the rows as JSON.
    """
    from benchmarks.tables import print_table

    dicts = [row.to_dict() for row in rows]
    print_table(" ".join((title or "").split("\n\n")[0].split()), dicts)
    if file is not None:
        file.write_text(json.dumps(dicts, indent=2) + "\n", encoding="utf-8")


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
