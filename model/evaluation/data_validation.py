"""Data validation: whether something other than the voice tells the classes of a corpus apart.

`validate` adds to the description of a store's originals the shortcut probe: how well each plain property, such as the
silence before the first word, separates bona fide from spoof alone. A network can learn whatever such a number shows. The
same store gives the same report.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from model.metrics.rates import curve_of_checked, eer_of_curve
from pipeline.corpus.schema import SPLITS
from pipeline.store.describe import CLASSES, MEASURES, describe, measured

SHORTCUT_EER: Final = 0.30
"""A measure that separates the classes with a lower EER than this is called a shortcut; 0.5 is chance."""

FEWEST_CLIPS: Final = 30
"""With fewer clips in a class nothing is warned of: at 30 the EER of a useless measure stays above 0.3 by three deviations."""

REJECT_GAP: Final = 0.01
"""Shares of rejects of the two classes that differ by more than this are uneven."""

_DIGITS: Final = 6

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
    """Describes the originals of a store, split by split, and probes them for shortcuts.

    Args:
        index: Table with the columns of `INDEX_SCHEMA`.
        rejects: Table with the columns of `REJECTS_SCHEMA`.

    Returns:
        Nested scalars, as DVC shows them: per split what `describe` gives, and `shortcut_eer` per measure where the split
        has both classes; `shortcuts` and `uneven_rejects` count what `shortcuts_of` and `uneven_rejects_of` list.
    """
    report: dict[str, Any] = describe(index, rejects)
    clips = measured(index)
    for split, part in report.items():
        by_class = [clips.get((split, name)) for name in CLASSES]
        part["shortcut_eer"] = (
            {}
            if None in by_class
            else {measure: _separation(*(values[measure].to_numpy() for values in by_class)) for measure in MEASURES}
        )
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
                medians = {name: part["measures"][measure][name]["median"] for name in CLASSES}
                found.append(Shortcut(split, measure, eer, **medians))
    return found


def uneven_rejects_of(report: Mapping[str, Any]) -> list[UnevenRejects]:
    """The splits of a report whose classes lost different shares of their clips."""
    found = []
    for split in SPLITS:
        part = report.get(split)
        if part is None:
            continue
        clips = {name: part[name] + part["rejects"][name] for name in CLASSES}
        shares = {name: part["reject_share"].get(name, 0.0) for name in CLASSES}
        if min(clips.values()) >= FEWEST_CLIPS and abs(shares["bona_fide"] - shares["spoof"]) > REJECT_GAP:
            found.append(UnevenRejects(split, **shares))
    return found


def _separation(bona_fide: FloatArray, spoof: FloatArray) -> float:
    """EER of a measure taken as a score, in whichever direction is better; in [0, 0.5]."""
    eer = eer_of_curve(curve_of_checked(bona_fide, spoof)).value
    return round(min(eer, 1 - eer), _DIGITS)
