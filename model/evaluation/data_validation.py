"""Data validation: what a corpus is made of, and whether something other than the voice tells its classes apart.

`validate` looks at the originals of the index and at the rejects, never at audio; the same store gives the same report. The
shortcut probe asks of each plain property, such as the silence before the first word, how well it alone separates bona fide
from spoof: a network will find whatever such a number finds.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.schema import BONA_FIDE, SPLITS, SPOOF, label_key
from pipeline.files import atomic_path, atomic_write, write_json

MEASURES: Final = {
    "duration_s": "duration, s",
    "leading_silence_s": "leading silence, s",
    "trailing_silence_s": "trailing silence, s",
    "level_db": "level, dB",
    "peak_db": "peak, dB",
    "band_edge_hz": "band edge, Hz",
}
"""What the probe tries, by column of the index, with names for people."""

VALIDATION_FILE: Final = "validation.json"
DISTRIBUTIONS_FILE: Final = "distributions.json"
SHORTCUT_EER: Final = 0.30
"""A measure that separates the classes with a lower EER than this is called a shortcut; 0.5 is chance."""

FEWEST_CLIPS: Final = 30
"""With fewer clips in a class nothing is warned of: at 30 the EER of a useless measure stays above 0.3 by three deviations."""

REJECT_GAP: Final = 0.01
"""Shares of rejects of the two classes that differ by more than this are uneven."""

_CLASSES: Final = {label_key(label): label for label in (BONA_FIDE, SPOOF)}
_QUANTILES: Final = {"p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}
_DIGITS: Final = 6
_COLOURS: Final = {"bona_fide": "#0072b2", "spoof": "#d55e00"}

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shortcut:
    """A property that tells the classes of a split apart.

    Attributes:
        split: "train", "dev" or "eval".
        measure: Column of the index.
        eer: Equal error rate of the measure alone, in [0, 0.5]; 0.5 is chance.
        bona_fide: Median of the bona fide clips, in the measure's unit.
        spoof: Median of the spoof clips.
    """

    split: str
    measure: str
    eer: float
    bona_fide: float
    spoof: float


@dataclass(frozen=True)
class UnevenRejects:
    """A split in which one class lost more clips than the other; shares in [0, 1]."""

    split: str
    bona_fide: float
    spoof: float


def validate(index: pa.Table, rejects: pa.Table) -> dict[str, Any]:
    """Describes the originals of a store, split by split.

    Args:
        index: Table with the columns of `INDEX_SCHEMA`.
        rejects: Table with the columns of `REJECTS_SCHEMA`.

    Returns:
        Nested scalars, as DVC shows them: per split the counts of classes, attacks, speakers and rejects, the distribution of
        every measure per class, and `shortcut_eer` per measure where the split has both classes; `shortcuts` and
        `uneven_rejects` count what `shortcuts_of` and `uneven_rejects_of` list.
    """
    originals = index.filter(pc.equal(index["copy"], 0))
    report: dict[str, Any] = {}
    for split in SPLITS:
        clips = originals.filter(pc.equal(originals["split"], split))
        refused = rejects.filter(pc.equal(rejects["split"], split))
        if clips.num_rows or refused.num_rows:
            report[split] = _describe(clips, refused)
    report["shortcuts"] = len(shortcuts_of(report))
    report["uneven_rejects"] = len(uneven_rejects_of(report))
    return report


def shortcuts_of(report: Mapping[str, Any]) -> list[Shortcut]:
    """The measures of a report that separate the classes better than `SHORTCUT_EER`, by split and EER."""
    found = []
    for split in SPLITS:
        part = report.get(split, {})
        if min(part.get("bona_fide", 0), part.get("spoof", 0)) < FEWEST_CLIPS:
            continue
        for measure, eer in sorted(part["shortcut_eer"].items(), key=lambda item: (item[1], item[0])):
            if eer < SHORTCUT_EER:
                medians = {name: part["measures"][measure][name]["median"] for name in _CLASSES}
                found.append(Shortcut(split, measure, eer, **medians))
    return found


def uneven_rejects_of(report: Mapping[str, Any]) -> list[UnevenRejects]:
    """The splits of a report whose classes lost different shares of their clips."""
    found = []
    for split in SPLITS:
        part = report.get(split)
        if part is None:
            continue
        clips = {name: part[name] + part["rejects"][name] for name in _CLASSES}
        shares = {name: part["reject_share"].get(name, 0.0) for name in _CLASSES}
        if min(clips.values()) >= FEWEST_CLIPS and abs(shares["bona_fide"] - shares["spoof"]) > REJECT_GAP:
            found.append(UnevenRejects(split, **shares))
    return found


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
        folder: Such as reports/data; made if need be.
        report: Made by `validate` from this index.
        index: Table with the columns of `INDEX_SCHEMA`.
    """
    splits = {name: part for name, part in report.items() if name in SPLITS}
    distributions = {name: part["measures"] for name, part in splits.items()}
    counts = {name: {key: value for key, value in part.items() if key != "measures"} for name, part in splits.items()}
    write_json(folder / VALIDATION_FILE, {**report, **counts})
    write_json(folder / DISTRIBUTIONS_FILE, distributions)
    plots = folder / "plots"
    atomic_write(plots / "balance.csv", _csv(("split", "attack", "clips"), _balance(report)))
    atomic_write(plots / "shortcuts.csv", _csv(("split", "measure", "eer"), _shortcut_rows(report)))
    values = _values(index)
    for measure in MEASURES:
        atomic_write(plots / f"{measure}.csv", _quantile_table(values, measure))
    with atomic_path(plots / "distributions.png") as path:
        _draw(values, report, path)


def _describe(clips: pa.Table, refused: pa.Table) -> dict[str, Any]:
    labels = np.array([-1 if label is None else label for label in clips["label"].to_pylist()], dtype=np.int64)
    lost = Counter(refused["label"].to_pylist())
    counts = {name: int(np.count_nonzero(labels == label)) for name, label in _CLASSES.items()}
    rejects = {name: lost[label] for name, label in _CLASSES.items()}
    attacks = Counter(attack for attack in clips["attack_id"].to_pylist() if attack is not None)
    labelled = sum(counts.values())
    part: dict[str, Any] = {
        **counts,
        "unlabelled": len(labels) - labelled,
        "speakers": len(set(clips["speaker_id"].to_pylist()) - {None}),
        "hours": _rounded(sum(clips["duration_s"].to_pylist()) / 3600),
        "attacks": dict(sorted(attacks.items())),
        "rejects": {**rejects, "unlabelled": lost[None]},
        "reject_share": {
            name: _rounded(rejects[name] / (counts[name] + rejects[name]))
            for name in _CLASSES
            if counts[name] + rejects[name]
        },
        "reject_reasons": _reasons(refused),
        "measures": {},
        "shortcut_eer": {},
    }
    if labelled:
        part["bona_fide_share"] = _rounded(counts["bona_fide"] / labelled)
    for measure in MEASURES:
        column = clips[measure].to_numpy()
        by_class = {name: column[labels == label] for name, label in _CLASSES.items()}
        part["measures"][measure] = {name: _summary(values) for name, values in by_class.items() if len(values)}
        if all(len(values) for values in by_class.values()):
            part["shortcut_eer"][measure] = _rounded(_separation(by_class["bona_fide"], by_class["spoof"]))
    return part


def _reasons(refused: pa.Table) -> dict[str, dict[str, int]]:
    names = {label: label_key(label) for label in (BONA_FIDE, SPOOF, None)}
    reasons: dict[str, dict[str, int]] = {}
    for reason, label in zip(refused["reason"].to_pylist(), refused["label"].to_pylist(), strict=True):
        by_class = reasons.setdefault(reason, dict.fromkeys(names.values(), 0))
        by_class[names[label]] += 1
    return reasons


def _summary(values: FloatArray) -> dict[str, float]:
    quantiles = np.quantile(values, list(_QUANTILES.values()))
    return {"mean": _rounded(values.mean())} | {
        name: _rounded(value) for name, value in zip(_QUANTILES, quantiles, strict=True)
    }


def _separation(bona_fide: FloatArray, spoof: FloatArray) -> float:
    """EER of a measure taken as a score, in whichever direction is better; in [0, 0.5]."""
    # The one place where the pipeline uses the metrics, which import neither package.
    from model.metrics.rates import curve_of_checked, eer_of_curve

    eer = eer_of_curve(curve_of_checked(bona_fide, spoof)).value
    return min(eer, 1 - eer)


def _rounded(value: float) -> float:
    return round(float(value), _DIGITS)


def _values(index: pa.Table) -> dict[tuple[str, str], pa.Table]:
    """The originals' measures by (split, class), where there are any."""
    originals = index.filter(pc.equal(index["copy"], 0))
    parts = {
        (split, name): originals.filter(
            pc.and_(pc.equal(originals["split"], split), pc.equal(originals["label"], label))
        ).select(list(MEASURES))
        for split in SPLITS
        for name, label in _CLASSES.items()
    }
    return {key: part for key, part in parts.items() if part.num_rows}


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
    rows = ((round(100 * share), *(_rounded(column[row]) for column in columns)) for row, share in enumerate(shares))
    return _csv(heading, rows)


def _csv(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    return text.getvalue()


def _draw(values: Mapping[tuple[str, str], pa.Table], report: Mapping[str, Any], path: Path) -> None:
    """Histograms of every measure, a column per split, both classes laid over each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    splits = [split for split in SPLITS if any(key[0] == split for key in values)]
    figure = Figure(figsize=(4 * max(1, len(splits)), 2.1 * len(MEASURES)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(MEASURES), max(1, len(splits)), squeeze=False, sharex="row")
    warned = {(shortcut.split, shortcut.measure) for shortcut in shortcuts_of(report)}
    for row, (measure, title) in enumerate(MEASURES.items()):
        everything = np.concatenate([part[measure].to_numpy() for part in values.values()] or [np.zeros(1)])
        low, high = np.quantile(everything, [0.005, 0.995])
        edges = np.linspace(low, high if high > low else low + 1, 41)
        for column, split in enumerate(splits):
            axis = axes[row][column]
            for name, colour in _COLOURS.items():
                if (split, name) in values:
                    part = values[split, name][measure].to_numpy().clip(edges[0], edges[-1])
                    weights = np.full(len(part), 1 / len(part))
                    axis.hist(part, edges, weights=weights, color=colour, alpha=0.25)
                    axis.hist(part, edges, weights=weights, color=colour, histtype="step", label=name.replace("_", " "))
            eer = report[split]["shortcut_eer"].get(measure)
            text = split if eer is None else f"{split}: EER {eer:.1%}"
            axis.set_title(text, fontsize=9, color="#b00000" if (split, measure) in warned else "black")
            axis.set_xlabel(title, fontsize=9)
            axis.tick_params(labelsize=8)
            if column == 0:
                axis.set_ylabel("share of clips", fontsize=9)
    if splits:
        axes[0][0].legend(fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})
