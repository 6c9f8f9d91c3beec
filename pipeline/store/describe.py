"""What a store's originals are made of: counts and distributions of every measure, per split and class.

Looks at the index and the rejects, never at audio or records: the same store gives the same description.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.schema import BONA_FIDE, SPLITS, SPOOF

MEASURES: Final = {
    "duration_s": "duration, s",
    "leading_silence_s": "leading silence, s",
    "trailing_silence_s": "trailing silence, s",
    "level_db": "level, dB",
    "peak_db": "peak, dB",
    "band_edge_hz": "band edge, Hz",
}
"""What is measured of every clip, by column of the index, with names for people."""

DESCRIBED: Final = ("split", "label", "attack_id", "speaker_id", "copy", *MEASURES)
"""The columns of the index that a description is made of."""

CLASSES: Final = {"bona_fide": BONA_FIDE, "spoof": SPOOF}
"""The classes by the names that they have in a description, with their labels."""

_QUANTILES: Final = {"p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}
_DIGITS: Final = 6

FloatArray = npt.NDArray[np.float64]


def describe(index: pa.Table, rejects: pa.Table) -> dict[str, dict[str, Any]]:
    """Describes the originals of a store, split by split.

    Args:
        index: Table with the columns of `INDEX_SCHEMA`.
        rejects: Table with the columns of `REJECTS_SCHEMA`.

    Returns:
        Nested scalars by split: the clips of each class, attacks, speakers, hours, rejects with their shares and reasons,
        and below `measures` mean and quantiles of every measure per class. Splits without clips and rejects are left out.
    """
    originals = _originals(index, DESCRIBED)
    described = {}
    for split in SPLITS:
        clips = originals.filter(pc.equal(originals["split"], split))
        refused = rejects.filter(pc.equal(rejects["split"], split))
        if clips.num_rows or refused.num_rows:
            described[split] = _describe(clips, refused)
    return described


def measured(index: pa.Table) -> dict[tuple[str, str], pa.Table]:
    """The measures of the labelled originals by (split, class), where there are any."""
    originals = _originals(index, ("split", "label", *MEASURES))
    parts = {
        (split, name): originals.select(list(MEASURES)).filter(
            pc.and_(pc.equal(originals["split"], split), pc.equal(originals["label"], label))
        )
        for split in SPLITS
        for name, label in CLASSES.items()
    }
    return {key: part for key, part in parts.items() if part.num_rows}


def _originals(index: pa.Table, columns: Sequence[str]) -> pa.Table:
    return index.select(columns).filter(pc.equal(index["copy"], 0))


def _value_counts(column: pa.ChunkedArray) -> dict[Any, int]:
    values, counts = column.value_counts().flatten()
    return dict(zip(values.to_pylist(), counts.to_pylist(), strict=True))


def _describe(clips: pa.Table, refused: pa.Table) -> dict[str, Any]:
    labels = clips["label"].fill_null(-1).to_numpy()
    lost = Counter(refused["label"].to_pylist())
    counts = {name: int(np.count_nonzero(labels == label)) for name, label in CLASSES.items()}
    rejects = {name: lost[label] for name, label in CLASSES.items()}
    attacks = _value_counts(clips["attack_id"].drop_null())
    labelled = sum(counts.values())
    part: dict[str, Any] = {
        **counts,
        "unlabelled": len(labels) - labelled,
        "speakers": len(clips["speaker_id"].drop_null().unique()),
        "hours": _rounded(math.fsum(clips["duration_s"].to_numpy()) / 3600),
        "attacks": dict(sorted(attacks.items())),
        "rejects": {**rejects, "unlabelled": lost[None]},
        "reject_share": {
            name: _rounded(rejects[name] / (counts[name] + rejects[name]))
            for name in CLASSES
            if counts[name] + rejects[name]
        },
        "reject_reasons": _reasons(refused),
        "measures": {},
    }
    if labelled:
        part["bona_fide_share"] = _rounded(counts["bona_fide"] / labelled)
    for measure in MEASURES:
        column = clips[measure].to_numpy()
        by_class = {name: column[labels == label] for name, label in CLASSES.items()}
        part["measures"][measure] = {name: _summary(values) for name, values in by_class.items() if len(values)}
    return part


def _reasons(refused: pa.Table) -> dict[str, dict[str, int]]:
    names = {label: name for name, label in CLASSES.items()} | {None: "unlabelled"}
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


def _rounded(value: float) -> float:
    return round(float(value), _DIGITS)
