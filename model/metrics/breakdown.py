"""Error rates of parts of the data: by attack, speaker, duration or any other property, the worst part first.

An average hides an attack that is always accepted. Each part has its counts and an interval, because the error rate of a small
part is uncertain.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from model.metrics.errors import MetricsError
from model.metrics.fields import NO_VALUE
from model.metrics.intervals import Interval, bootstrap, no_error_bound
from model.metrics.rates import DetCurve, eer_of_curve
from model.metrics.score_files import StringArray
from model.metrics.score_table import ScoreTable

DURATION_EDGES_S = (1.0, 2.0, 3.0, 4.0, 6.0)


class _Options(TypedDict):
    """Arguments that every breakdown hands to `by_mask`."""

    threshold: float | None
    n_resamples: int
    seed: int


@dataclass(frozen=True)
class Part:
    """Error rates of one part of the data; all are fractions.

    Attributes:
        name: The attack, speaker, bin, ...
        n_bonafide: Number of bona fide trials.
        n_spoof: Number of spoof trials.
        eer: Equal error rate of the part, or None if it lacks a class.
        eer_interval: Its 95 % interval, or None without resamples.
        miss: Share of bona fide rejected at the given threshold, or None without one.
        false_alarm: Share of spoof accepted at the given threshold, or None without one.
    """

    name: str
    n_bonafide: int
    n_spoof: int
    eer: float | None
    eer_interval: Interval | None
    miss: float | None
    false_alarm: float | None

    @property
    def worst_rate(self) -> float:
        """The order of parts: the EER, or the error rate of the class that is present."""
        return self.eer if self.eer is not None else max(self.miss or 0.0, self.false_alarm or 0.0)


def by_attack(table: ScoreTable, *, threshold: float | None = None, n_resamples: int = 0, seed: int = 0) -> list[Part]:
    """Each attack against all bona fide trials, the most successful first; spoof of unknown attack ("-") is left out.

    Args:
        table: The scores.
        threshold: Threshold (of dev) for the miss and false-alarm rates.
        n_resamples: Resamples for the intervals; 0 = none. They draw whole attacks in a part of at least five, else single
            trials.
        seed: Seed of the draws.
    """
    spoof = table.labels == 0
    attacks = [name for name in np.unique(table.attack_ids[spoof]).tolist() if name != NO_VALUE]
    masks = [~spoof | (table.attack_ids == name) for name in attacks]
    return _worst_first(
        [
            by_mask(table, name, mask, threshold=threshold, n_resamples=n_resamples, seed=seed)
            for name, mask in zip(attacks, masks, strict=True)
        ]
    )


def by_speaker(table: ScoreTable, *, threshold: float | None = None, n_resamples: int = 0, seed: int = 0) -> list[Part]:
    """Each speaker's bona fide against the same speaker's spoof trials, the worst speaker first; see `by_attack`."""
    return by_group(table, table.speaker_ids, threshold=threshold, n_resamples=n_resamples, seed=seed)


def by_duration(
    table: ScoreTable,
    durations_s: npt.ArrayLike,
    *,
    edges_s: Sequence[float] = DURATION_EDGES_S,
    threshold: float | None = None,
    n_resamples: int = 0,
    seed: int = 0,
) -> list[Part]:
    """Parts by duration: below the first edge, between edges, from the last edge up.

    Args:
        table: The scores.
        durations_s: float [n], duration of each utterance of the table, in seconds.
        edges_s: Increasing bin edges, in seconds; a duration equal to an edge belongs to the bin above.
        threshold: As in `by_attack`.
        n_resamples: As in `by_attack`.
        seed: As in `by_attack`.
    """
    edges = np.asarray(edges_s, dtype=np.float64)
    names = [f"< {edges[0]:g} s"]
    names += [f"{low:g}-{high:g} s" for low, high in itertools.pairwise(edges)]
    names.append(f">= {edges[-1]:g} s")
    groups = np.array(names)[np.searchsorted(edges, np.asarray(durations_s, dtype=np.float64), side="right")]
    return by_group(table, groups, threshold=threshold, n_resamples=n_resamples, seed=seed)


def by_group(
    table: ScoreTable,
    groups: Sequence[str] | StringArray,
    *,
    threshold: float | None = None,
    n_resamples: int = 0,
    seed: int = 0,
) -> list[Part]:
    """Parts by any property of the utterances (gender, codec, language); "-" means unknown and is left out.

    Args:
        table: The scores.
        groups: str [n], the group of each utterance of the table.
        threshold: As in `by_attack`.
        n_resamples: As in `by_attack`.
        seed: As in `by_attack`.

    Raises:
        MetricsError: There is not one group name per utterance.
    """
    names = np.asarray(groups, dtype=np.str_)
    if names.shape != (len(table),):
        raise MetricsError(f"{table.source}: {names.shape} group names for {len(table):,} utterances")
    known = [name for name in np.unique(names).tolist() if name != NO_VALUE]
    return _worst_first(
        [by_mask(table, name, names == name, threshold=threshold, n_resamples=n_resamples, seed=seed) for name in known]
    )


def by_mask(
    table: ScoreTable,
    name: str,
    mask: npt.NDArray[np.bool_],
    *,
    threshold: float | None = None,
    n_resamples: int = 0,
    seed: int = 0,
) -> Part:
    """The part of the table where a mask, bool [n], is true, under a name; the other arguments as in `by_attack`."""
    part = table.unnamed(mask)
    bonafide, spoof = part.bonafide, part.spoof
    eer, interval = None, None
    if len(bonafide) and len(spoof):
        eer = eer_of_curve(part.curve).value
        if n_resamples:
            interval = bootstrap(part, eer_statistic, n_resamples=n_resamples, cluster="auto", seed=seed)["eer"]
            interval = widen_if_no_error(interval, eer, min(len(bonafide), len(spoof)))
    return Part(
        name=name,
        n_bonafide=len(bonafide),
        n_spoof=len(spoof),
        eer=eer,
        eer_interval=interval,
        miss=None if threshold is None or not len(bonafide) else float(np.mean(bonafide < threshold)),
        false_alarm=None if threshold is None or not len(spoof) else float(np.mean(spoof >= threshold)),
    )


def widen_if_no_error(interval: Interval, eer: float, n_trials: int) -> Interval:
    """Widens the interval of an EER of less than one trial of the smaller class to at least `no_error_bound`.

    The bootstrap cannot draw an error that was not made, so its interval of such an EER is too narrow.

    Args:
        interval: The interval of the bootstrap.
        eer: The equal error rate.
        n_trials: Trials of the smaller class.
    """
    return Interval(interval.low, max(interval.high, no_error_bound(n_trials))) if eer * n_trials < 1 else interval


def eer_statistic(curve: DetCurve) -> dict[str, float]:
    """The EER alone, as a statistic of `bootstrap`."""
    return {"eer": eer_of_curve(curve).value}


def _worst_first(parts: list[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: (part.eer is None, -part.worst_rate, part.name))
