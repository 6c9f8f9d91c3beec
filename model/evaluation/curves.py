"""The data of the plots of one evaluated split, as records for the templates of DVC.

Numbers only, from scores and labels; `evaluate` writes them, the report page and `dvc plots` draw them.
"""

import itertools
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.metrics import ScoreTable, reliability_diagram
from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_name

_MAX_POINTS: Final = 400
_HISTOGRAM_BINS: Final = 40
_DIGITS: Final = 6

PLOTS: Final = (
    "roc",
    "precision_recall",
    "det",
    "confusion",
    "score_histogram",
    "calibration",
    "per_attack_eer",
)
"""The names of the plots of a split."""

Record = dict[str, Any]
FloatArray = npt.NDArray[np.float64]


def plots(
    table: ScoreTable, threshold: float, prior: float, per_attack: Mapping[str, Mapping[str, float]]
) -> dict[str, list[Record]]:
    """The data of every plot of one split, as records for DVC's templates.

    Args:
        table: Log-likelihood ratios.
        threshold: From which a clip is called bona fide.
        prior: Of bona fide, for the calibration curve.
        per_attack: `per_attack` of the split's metrics.

    Returns:
        `roc` (false_alarm, hit), `precision_recall` (recall, precision, and the share of bona fide as chance), `det` (the
        rates and their normal deviates), `confusion` (actual, predicted, count), `score_histogram` (score in the middle of a
        bin, its width, bona_fide and spoof as share per bin), `calibration` (predicted, observed) and `per_attack_eer`
        (attack, eer). Rates are fractions; curves are thinned to a few hundred points.
    """
    curve = table.curve
    points = _thinned(len(curve.miss))
    miss, false_alarm = curve.miss[points], curve.false_alarm[points]
    accepted = (1 - miss) * curve.n_bonafide + false_alarm * curve.n_spoof
    some = accepted > 0
    precision = (1 - miss[some]) * curve.n_bonafide / accepted[some]
    # The ends of the DET curve are at infinity.
    inner = (miss > 0) & (miss < 1) & (false_alarm > 0) & (false_alarm < 1)
    predicted = np.where(table.scores >= threshold, BONA_FIDE, SPOOF)
    return {
        "roc": _records(false_alarm=false_alarm[::-1], hit=1 - miss[::-1]),
        "precision_recall": _records(
            recall=1 - miss[some][::-1],
            precision=precision[::-1],
            chance=np.full(len(precision), curve.n_bonafide / (curve.n_bonafide + curve.n_spoof)),
        ),
        "det": _records(
            false_alarm=false_alarm[inner][::-1],
            miss=miss[inner][::-1],
            false_alarm_deviate=_normal_deviates(false_alarm[inner][::-1]),
            miss_deviate=_normal_deviates(miss[inner][::-1]),
        ),
        "confusion": _confusion(table.labels, predicted),
        "score_histogram": _histogram(table),
        "calibration": _calibration(table, prior),
        "per_attack_eer": [{"attack": name, "eer": figures["eer"]} for name, figures in sorted(per_attack.items())],
    }


def _confusion(labels: npt.NDArray[np.int8], predicted: npt.NDArray[np.int64]) -> list[Record]:
    """The number of trials of each class and verdict."""
    return [
        {
            "actual": label_name(actual),
            "predicted": label_name(guess),
            "count": int(np.count_nonzero((labels == actual) & (predicted == guess))),
        }
        for actual, guess in itertools.product((BONA_FIDE, SPOOF), repeat=2)
    ]


def _records(**columns: FloatArray) -> list[Record]:
    rows = zip(*(column.round(_DIGITS).tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _thinned(n_points: int) -> npt.NDArray[np.intp]:
    """At most `_MAX_POINTS` places, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, n_points - 1, min(n_points, _MAX_POINTS)).round().astype(np.intp))


def _normal_deviates(rates: FloatArray) -> FloatArray:
    """The scale of a DET plot: the inverse of the normal distribution function."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(rate) for rate in rates.tolist()])


def _histogram(table: ScoreTable) -> list[Record]:
    low, high = float(table.scores.min()), float(table.scores.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _HISTOGRAM_BINS + 1)
    shares = [np.histogram(scores, edges)[0] / len(scores) for scores in (table.bonafide, table.spoof)]
    middles = (edges[:-1] + edges[1:]) / 2
    return _records(score=middles, width=np.diff(edges), bona_fide=shares[0], spoof=shares[1])


def _calibration(table: ScoreTable, prior: float) -> list[Record]:
    diagram = reliability_diagram(table.bonafide, table.spoof, prior=prior)
    filled = np.isfinite(diagram.predicted)
    return _records(predicted=diagram.predicted[filled], observed=diagram.observed[filled])
