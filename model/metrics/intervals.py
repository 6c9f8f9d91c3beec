"""Confidence intervals and paired significance by the bootstrap.

Trials are drawn with replacement, either within each class, which keeps the class sizes, or in clusters: whole speakers or
whole attacks. A resample is kept as counts per distinct score and needs no sorting. Intervals are percentile intervals. Source:
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 16.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from model.metrics.errors import MetricsError, enumerate_some
from model.metrics.fields import NO_VALUE
from model.metrics.rates import DetCurve, FloatArray
from model.metrics.score_table import ScoreTable

Cluster = Literal["speaker", "attack"]
Drawing = Cluster | Literal["auto"] | None
"""What a resample draws: single trials (None), whole speakers, whole attacks, or what `drawn_cluster` finds."""
Statistic = Callable[[DetCurve], Mapping[str, float]]

DEFAULT_RESAMPLES = 1000
LEVEL = 0.95
MAX_REDRAWS = 1000
FEWEST_ATTACKS = 5
"""Fewest attacks for which "auto" draws whole attacks."""


class Interval(NamedTuple):
    """A confidence interval.

    Attributes:
        low: Lower end.
        high: Upper end.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Difference of one metric between two systems on the same trials.

    Attributes:
        a: Value of the first system.
        b: Value of the second.
        difference: b − a.
        low: Lower end of the 95 % interval of the difference.
        high: Upper end.
        p_value: Probability of a difference at least this large if the systems did not differ; two-sided, in (0, 1].
    """

    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float


def bootstrap(
    table: ScoreTable,
    statistic: Statistic,
    *,
    n_resamples: int = DEFAULT_RESAMPLES,
    cluster: Drawing = None,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """Percentile intervals of any metrics of a score table.

    Args:
        table: The scores.
        statistic: Metrics by name, computed from a DET curve whose counts may be zero.
        n_resamples: Number of resamples.
        cluster: "speaker" draws whole speakers with both classes, "attack" draws whole attacks and single bona fide trials,
            None draws single trials. Clusters tell how the result varies with other speakers or attacks; single trials tell
            how it varies with other clips of the same ones. "auto" is what `drawn_cluster` finds.
        seed: Seed of the draws.
        level: Coverage, in (0, 1).

    Raises:
        MetricsError: The cluster of a trial is unknown, or there is only one cluster.
    """
    layout = _Layout(table)
    weights = _resamples(table, n_resamples, drawn_cluster(table, cluster), np.random.default_rng(seed))
    rows = [statistic(layout.curve(drawn)) for drawn in weights]
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {name: percentile_interval(column, level) for name, column in values.items()}


def paired_bootstrap(
    a: ScoreTable,
    b: ScoreTable,
    statistic_a: Statistic,
    statistic_b: Statistic,
    *,
    n_resamples: int = DEFAULT_RESAMPLES,
    cluster: Drawing = None,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Difference]:
    """Differences between two systems that scored the same utterances; a resample draws the same trials for both.

    The p-value is the share of resamples whose difference, shifted to a mean of 0, is at least as far from 0 as the observed
    difference.

    Args:
        a: Scores of the first system.
        b: Scores of the second; the same utterances, in any order.
        statistic_a: Metrics of the first system by name; its threshold may differ from that of the second.
        statistic_b: The same metrics of the second.
        n_resamples: Number of resamples.
        cluster: As in `bootstrap`.
        seed: Seed of the draws.
        level: Coverage, in (0, 1).

    Raises:
        MetricsError: The two do not hold the same utterances with the same labels.
    """
    b = aligned(a, b)
    layout_a, layout_b = _Layout(a), _Layout(b)
    observed_a, observed_b = dict(statistic_a(a.curve)), dict(statistic_b(b.curve))
    names = [name for name in observed_a if name in observed_b]
    drawn = np.empty((n_resamples, len(names)))
    resamples = _resamples(a, n_resamples, drawn_cluster(a, cluster), np.random.default_rng(seed))
    for i, weights in enumerate(resamples):
        row_a, row_b = statistic_a(layout_a.curve(weights)), statistic_b(layout_b.curve(weights))
        drawn[i] = [row_b[name] - row_a[name] for name in names]
    result = {}
    for name, differences in zip(names, drawn.T, strict=True):
        difference = observed_b[name] - observed_a[name]
        low, high = percentile_interval(differences, level)
        as_far = np.abs(differences - difference) >= abs(difference) - 1e-15
        p_value = (1 + int(as_far.sum())) / (1 + n_resamples)
        result[name] = Difference(observed_a[name], observed_b[name], difference, low, high, p_value)
    return result


def drawn_cluster(table: ScoreTable, wanted: Drawing = "auto") -> Cluster | None:
    """What a resample of a table draws.

    Args:
        table: The scores.
        wanted: "auto" gives "attack" if all spoof trials name their attack and there are at least `FEWEST_ATTACKS`, else None;
            anything else is kept. Clips of one attack succeed or fail together, so that single trials give too narrow an
            interval.
    """
    if wanted != "auto":
        return wanted
    attacks = np.unique(table.attack_ids[table.labels == 0])
    return "attack" if len(attacks) >= FEWEST_ATTACKS and NO_VALUE not in attacks else None


def can_draw(table: ScoreTable, cluster: Cluster) -> bool:
    """Whether whole speakers or whole attacks of a table can be drawn: all are known, and there are at least two."""
    names = table.speaker_ids if cluster == "speaker" else table.attack_ids[table.labels == 0]
    distinct = np.unique(names)
    if len(distinct) < 2 or NO_VALUE in distinct:
        return False
    if cluster == "attack":
        return True
    genuine, fake = (np.unique(names[table.labels == label]) for label in (1, 0))
    return bool(len(genuine) and len(fake))


def aligned(a: ScoreTable, b: ScoreTable) -> ScoreTable:
    """Table `b` in the order of `a`.

    Raises:
        MetricsError: They do not hold the same utterances with the same labels.
    """
    place = {name: i for i, name in enumerate(b.utterance_ids.tolist())}
    names = a.utterance_ids.tolist()
    missing = [name for name in names if name not in place]
    if missing or len(place) != len(names):
        known = set(names)
        missing = missing or [name for name in place if name not in known]
        raise MetricsError(
            f"{a.source} and {b.source} do not score the same utterances ({len(a):,} and {len(b):,}): only one of them has "
            f"{enumerate_some(missing)}. A paired comparison needs the same trials"
        )
    order = np.array([place[name] for name in names])
    differing = [names[i] for i in np.flatnonzero(a.labels != b.labels[order])]
    if differing:
        raise MetricsError(
            f"{a.source} and {b.source} contradict each other on the label of {enumerate_some(differing)}"
        )
    return b.select(order)


def percentile_interval(values: npt.ArrayLike, level: float = LEVEL) -> Interval:
    """The interval that leaves (1 − level) / 2 of the resampled values on either side."""
    tail = (1 - level) / 2
    low, high = np.quantile(np.asarray(values, dtype=np.float64), [tail, 1 - tail])
    return Interval(float(low), float(high))


def no_error_bound(n_trials: float, level: float = LEVEL) -> float:
    """The highest error rate with which `n_trials` trials without an error are still credible (Clopper and Pearson, 1934).

    Where a resample can find no error, as with perfectly separated scores, the bootstrap's interval has no width; this is
    the honest upper end: about 3.7 / n at 95 %.
    """
    return float(1 - ((1 - level) / 2) ** (1 / n_trials))


class _Layout:
    """The place of each trial of a table among its distinct scores. Turns weights per trial into a DET curve."""

    def __init__(self, table: ScoreTable) -> None:
        self.order = np.argsort(table.scores, kind="stable")
        self.scores, self.starts = np.unique(table.scores[self.order], return_index=True)
        self.is_bonafide = table.labels[self.order] == 1

    def curve(self, weights: FloatArray) -> DetCurve:
        in_order = weights[self.order]
        bonafide = np.where(self.is_bonafide, in_order, 0.0)
        spoof = in_order - bonafide
        if len(self.starts) < len(self.order):
            bonafide, spoof = np.add.reduceat(bonafide, self.starts), np.add.reduceat(spoof, self.starts)
        return DetCurve(self.scores, bonafide, spoof)


def _resamples(
    table: ScoreTable, n_resamples: int, cluster: Cluster | None, rng: np.random.Generator
) -> Iterator[FloatArray]:
    """How often each trial of a table is drawn: float64 [n] per resample, both classes present."""
    bonafide = np.flatnonzero(table.labels == 1)
    spoof = np.flatnonzero(table.labels == 0)
    if cluster == "speaker":
        yield from _whole_speakers(table, n_resamples, rng)
        return
    attacks = _cluster_index(table.attack_ids[spoof], "attack", table.source) if cluster == "attack" else None
    for _ in range(n_resamples):
        weights = np.empty(len(table))
        weights[bonafide] = _draw(len(bonafide), rng)
        weights[spoof] = _draw(len(spoof), rng) if attacks is None else _draw(int(attacks.max()) + 1, rng)[attacks]
        yield weights


def _whole_speakers(table: ScoreTable, n_resamples: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    speakers = _cluster_index(table.speaker_ids, "speaker", table.source)
    n_speakers = int(speakers.max()) + 1
    has_bonafide = np.bincount(speakers, weights=table.labels == 1) > 0
    has_spoof = np.bincount(speakers, weights=table.labels == 0) > 0
    for _ in range(n_resamples):
        for _ in range(MAX_REDRAWS):
            drawn = _draw(n_speakers, rng)
            if drawn[has_bonafide].any() and drawn[has_spoof].any():
                break
        else:
            raise MetricsError(
                f"{table.source}: too few speakers with both classes for an interval clustered by speaker"
            )
        yield drawn[speakers]


def _cluster_index(names: npt.NDArray[np.str_], what: str, source: str) -> npt.NDArray[np.intp]:
    if np.any(names == NO_VALUE):
        raise MetricsError(
            f"{source}: the {what} of {int(np.sum(names == NO_VALUE)):,} trials is unknown (-), so intervals cannot be "
            f"clustered by {what}. Give a protocol that names it, or draw single trials"
        )
    distinct, index = np.unique(names, return_inverse=True)
    if len(distinct) < 2:
        raise MetricsError(f"{source}: all trials have one {what} ({distinct[0]}): nothing to draw clusters from")
    return index


def _draw(n: int, rng: np.random.Generator) -> FloatArray:
    """How often each of `n` things is drawn in `n` draws with replacement; `n` may be 0."""
    if not n:
        return np.zeros(0)
    return np.bincount(rng.integers(0, n, n, dtype=np.int32), minlength=n).astype(np.float64)
