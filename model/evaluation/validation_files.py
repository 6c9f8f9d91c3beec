"""The files of a data validation: its report as JSON, and tables and a picture of it.

`write_report` writes them below reports/data, `read_report` gives the report back.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from model.artifacts import DISTRIBUTIONS_FILE, DISTRIBUTIONS_PICTURE, VALIDATION_FILE
from model.evaluation.data_validation import shortcuts_of
from pipeline.corpus.schema import SPLITS
from pipeline.files import atomic_write, replaced_folder, write_json
from pipeline.store.describe import CLASSES, MEASURES, measured
from pipeline.store.figures import draw_histograms, histogram_edges, new_figure, save_png
from pipeline.text import csv_cell

_DIGITS: Final = 6


def read_report(folder: Path) -> dict[str, Any]:
    """The report of `validate` from the files that `write_report` wrote.

    Raises:
        OSError: A file is missing.
        ValueError: A file is no JSON.
    """
    report: dict[str, Any] = json.loads((folder / VALIDATION_FILE).read_text(encoding="utf-8"))
    for split, measures in json.loads((folder / DISTRIBUTIONS_FILE).read_text(encoding="utf-8")).items():
        report[split]["measures"] = measures
    return report


def write_report(folder: Path, report: Mapping[str, Any], index: pa.Table) -> None:
    """Writes `validation.json`, `distributions.json`, and below `plots/` tables that DVC draws and a picture.

    DVC shows every number of a metrics file in a column of its own, so the distributions have a file beside it.

    Args:
        folder: Such as reports/data. An earlier report stays until this one is whole, then goes.
        report: Made by `validate` from this index.
        index: Table with the columns of `INDEX_SCHEMA`.

    Raises:
        OSError: The folder holds files that are not a report's, or another process writes it.
    """
    with replaced_folder(folder, (VALIDATION_FILE, DISTRIBUTIONS_FILE, "plots")) as new:
        _write_report(new, report, index)


def _write_report(folder: Path, report: Mapping[str, Any], index: pa.Table) -> None:
    """As `write_report`, to an empty folder."""
    splits = {name: part for name, part in report.items() if name in SPLITS}
    distributions = {name: part["measures"] for name, part in splits.items()}
    counts = {name: {key: value for key, value in part.items() if key != "measures"} for name, part in splits.items()}
    write_json(folder / VALIDATION_FILE, {**report, **counts})
    write_json(folder / DISTRIBUTIONS_FILE, distributions)
    plots = folder / "plots"
    atomic_write(plots / "balance.csv", _csv(("split", "attack", "clips"), _balance(report)))
    atomic_write(plots / "shortcuts.csv", _csv(("split", "measure", "eer"), _shortcut_rows(report)))
    values = measured(index)
    for measure in MEASURES:
        atomic_write(plots / f"{measure}.csv", _quantile_table(values, measure))
    _draw(values, report, folder / DISTRIBUTIONS_PICTURE)


def _balance(report: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    for split in SPLITS:
        if split in report:
            yield split, "bonafide", report[split]["bona_fide"]
            yield from ((split, attack, clips) for attack, clips in report[split]["attacks"].items())


def _shortcut_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    for split in SPLITS:
        if split in report:
            yield from ((split, measure, eer) for measure, eer in report[split]["shortcut_eer"].items())


def _quantile_table(values: Mapping[tuple[str, str], pa.Table], measure: str) -> str:
    """The inverse distribution function of each split and class: one column each, one row per 2 %."""
    shares = np.linspace(0, 1, 51)
    columns = [np.quantile(part[measure].to_numpy(), shares) for part in values.values()]
    heading = ("percent", *(f"{split}_{name}" for split, name in values))
    rows = (
        (round(100 * share), *(round(float(column[row]), _DIGITS) for column in columns))
        for row, share in enumerate(shares)
    )
    return _csv(heading, rows)


def _csv(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _draw(values: Mapping[tuple[str, str], pa.Table], report: Mapping[str, Any], path: Path) -> None:
    """Histograms of every measure, a column per split, both classes laid over each other."""
    splits = [split for split in SPLITS if any(key[0] == split for key in values)]
    figure = new_figure(4 * max(1, len(splits)), 2.1 * len(MEASURES))
    axes = figure.subplots(len(MEASURES), max(1, len(splits)), squeeze=False, sharex="row")
    warned = {(shortcut.split, shortcut.measure) for shortcut in shortcuts_of(report)}
    for row, (measure, title) in enumerate(MEASURES.items()):
        columns = {key: part[measure].to_numpy() for key, part in values.items()}
        edges = histogram_edges(np.concatenate([*columns.values(), []]))
        for axis, split in zip(axes[row], splits, strict=False):
            draw_histograms(axis, {name: columns[split, name] for name in CLASSES if (split, name) in columns}, edges)
            eer = report[split]["shortcut_eer"].get(measure)
            text = split if eer is None else f"{split}: EER {eer:.1%}"
            axis.set_title(text, fontsize=9, color="#b00000" if (split, measure) in warned else "black")
            axis.set_xlabel(title, fontsize=9)
            axis.tick_params(labelsize=8)
        axes[row][0].set_ylabel("share of clips", fontsize=9)
    if splits:
        axes[0][0].legend(fontsize=8)
    save_png(figure, path)
