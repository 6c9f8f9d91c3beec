"""The robustness table: what the detector's verdicts become when the same clips arrive louder, coded, in noise or cut.

A fixed part of the clips is scored again under each condition, through the usual front end. Threshold, calibration and abstain
band stay those of dev.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import chain
from statistics import fmean
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle
from model.evaluation.audio import Audio
from model.evaluation.conditions import CONDITIONS, Condition, seed_of
from model.evaluation.split_metrics import SEED
from model.metrics import AbstainBand, Drawing, ScoreTable, bootstrap, require_both_classes
from model.metrics.breakdown import eer_statistic
from model.metrics.rates import eer_of_curve
from model.scoring.scorer import ClipScorer, labelled_scores
from pipeline.corpus.schema import BONA_FIDE, SPOOF
from pipeline.frontends import make_front_end

UNCHANGED: Final = Condition("unchanged", "as recorded", lambda waveform, rate, seed: waveform)

_THREADS: Final = 4
_CLIPS_AT_ONCE: Final = 16

Trial = Mapping[str, Any]
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class ConditionResult:
    """The clips under one condition. Rates are fractions; of all clips where nothing else is said.

    Attributes:
        name: Of the condition.
        title: For people.
        eer: Equal error rate.
        eer_ci95: Its 95 % interval, or None.
        changed: Share whose verdict at the threshold differs from that of the clip as recorded.
        miss: Share of bona fide clips rejected at the threshold from dev.
        false_alarm: Share of spoof clips accepted at the threshold from dev.
        uncertain: Share in the abstain band from dev.
        certain_wrong: Share outside the abstain band with the wrong verdict.
    """

    name: str
    title: str
    eer: float
    eer_ci95: tuple[float, float] | None
    changed: float
    miss: float
    false_alarm: float
    uncertain: float
    certain_wrong: float


@dataclass(frozen=True)
class NotMeasured:
    """A condition that this machine cannot make.

    Attributes:
        name: Of the condition.
        title: For people.
        missing: The package that is not installed.
    """

    name: str
    title: str
    missing: str


@dataclass(frozen=True)
class Robustness:
    """The table.

    Attributes:
        split: Of the clips.
        n_bonafide: Number of bona fide clips.
        n_spoof: Number of spoof clips.
        conditions: One entry per condition that was measured; the first is "unchanged".
        not_measured: The other conditions.
    """

    split: str
    n_bonafide: int
    n_spoof: int
    conditions: list[ConditionResult]
    not_measured: list[NotMeasured]

    def as_dict(self) -> dict[str, Any]:
        """The content of robustness.json."""
        return asdict(self)

    def headlines(self) -> dict[str, float]:
        """The scalars for metrics.json: EER and share of changed verdicts, mean and worst over the measured conditions."""
        changed = self.conditions[1:]
        eers, shares = [row.eer for row in changed], [row.changed for row in changed]
        return {
            "eer_unchanged": self.conditions[0].eer,
            "eer_mean": fmean(eers),
            "eer_worst": max(eers),
            "changed_mean": fmean(shares),
            "changed_worst": max(shares),
        }


def choose_clips(trials: Iterable[Trial], count: int) -> list[Trial]:
    """A fixed part of the labelled trials: both classes as evenly as there are clips, and the attacks evenly among the spoof.

    Which clips follows from a hash of their ids, so that other clips in the corpus hardly change the choice.

    Args:
        trials: With `utterance_id`, `label` and `attack_id`.
        count: At most this many.

    Returns:
        The trials, sorted by utterance id.
    """
    groups: dict[tuple[int, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial["label"] is not None:
            groups[trial["label"], trial["attack_id"] or "-"].append(trial)
    in_turn: dict[int, list[Trial]] = {BONA_FIDE: [], SPOOF: []}
    for label, found in in_turn.items():
        ranked = [
            (rank, attack, trial)
            for (of_label, attack), group in groups.items()
            if of_label == label
            for rank, trial in enumerate(sorted(group, key=lambda trial: seed_of(trial["utterance_id"])))
        ]
        found += [trial for _, _, trial in sorted(ranked, key=lambda entry: entry[:2])]
    n_bonafide = min(len(in_turn[BONA_FIDE]), max(count // 2, count - len(in_turn[SPOOF])))
    chosen = in_turn[BONA_FIDE][:n_bonafide] + in_turn[SPOOF][: count - n_bonafide]
    return sorted(chosen, key=lambda trial: str(trial["utterance_id"]))


def measure_robustness(
    bundle: Bundle,
    scorer: ClipScorer,
    audio: Audio,
    split: str,
    trials: Sequence[Trial],
    band: AbstainBand,
    batch_size: int,
    n_resamples: int = 0,
    cluster: Drawing = "auto",
    conditions: Sequence[Condition] = CONDITIONS,
    scored: Callable[[int], None] = lambda count: None,
) -> Robustness:
    """Scores clips under every condition, a few at a time.

    Args:
        bundle: For the front end, the calibration and the threshold.
        scorer: Of the bundle's network.
        audio: Where the clips are.
        split: Of the clips, for messages.
        trials: From `choose_clips`.
        band: From dev.
        batch_size: Windows at once.
        n_resamples: For the 95 % intervals of the EER; 0 for none.
        cluster: What they draw, as in `model.metrics.bootstrap`.
        conditions: Which; one that lacks a package is not measured.
        scored: Told how many more clips are done.

    Raises:
        ModelError: A clip is not there any more, or is another file than the one that the manifest describes.
        MetricsError: A class is missing, or clusters of clips are not known.
    """
    missing = {condition.name: condition.missing() for condition in conditions}
    every = (UNCHANGED, *(condition for condition in conditions if missing[condition.name] is None))
    not_measured = [
        NotMeasured(condition.name, condition.title, package)
        for condition in conditions
        if (package := missing[condition.name]) is not None
    ]
    names = [str(trial["utterance_id"]) for trial in trials]
    places = ((condition.name, name) for name in names for condition in every)
    features = _features(bundle, audio, names, every)
    scores: Scores = defaultdict(dict)
    for (condition, name), logit in zip(places, scorer.each_logit(features, batch_size), strict=True):
        scores[condition][name] = float(bundle.calibration.apply(logit))
        if condition == every[-1].name:
            scored(1)
    unchanged = labelled_scores(trials, scores[UNCHANGED.name], f"{split}, {UNCHANGED.title}")
    require_both_classes(unchanged)
    rows = []
    for condition in every:
        values = np.array([scores[condition.name][name] for name in unchanged.utterance_ids.tolist()])
        table = replace(unchanged, scores=values)
        rows.append(_result(condition, table, unchanged, bundle.threshold, band, n_resamples, cluster))
    return Robustness(split, len(unchanged.bonafide), len(unchanged.spoof), rows, not_measured)


def _features(
    bundle: Bundle, audio: Audio, names: Sequence[str], conditions: Sequence[Condition]
) -> Iterator[npt.NDArray[np.float16]]:
    """The features of every clip under every condition, clip by clip; a few clips are in memory at once."""
    front_end, read, rate = make_front_end(bundle.features), audio.reader(bundle.features), bundle.features.sample_rate

    def extract(name: str) -> list[npt.NDArray[np.float16]]:
        waveform, seed = read(name), seed_of(name)
        # float16, as in the feature store.
        return [front_end(condition.change(waveform, rate, seed)).astype(np.float16) for condition in conditions]

    with ThreadPoolExecutor(_THREADS) as pool:
        for first in range(0, len(names), _CLIPS_AT_ONCE):
            yield from chain.from_iterable(pool.map(extract, names[first : first + _CLIPS_AT_ONCE]))


def _result(
    condition: Condition,
    table: ScoreTable,
    unchanged: ScoreTable,
    threshold: float,
    band: AbstainBand,
    n_resamples: int,
    cluster: Drawing,
) -> ConditionResult:
    verdicts, is_bona_fide = band.verdicts(table.scores), table.labels == BONA_FIDE
    is_certain = (verdicts == BONA_FIDE) | (verdicts == SPOOF)
    accepted = table.scores >= threshold
    interval = (
        bootstrap(table, eer_statistic, n_resamples=n_resamples, cluster=cluster, seed=SEED) if n_resamples else None
    )
    return ConditionResult(
        name=condition.name,
        title=condition.title,
        eer=eer_of_curve(table.curve).value,
        eer_ci95=None if interval is None else (interval["eer"].low, interval["eer"].high),
        changed=float(np.mean(accepted != (unchanged.scores >= threshold))),
        miss=float(np.mean(~accepted[is_bona_fide])),
        false_alarm=float(np.mean(accepted[~is_bona_fide])),
        uncertain=float(np.mean(~is_certain)),
        certain_wrong=float(np.mean(is_certain & (verdicts != table.labels))),
    )
