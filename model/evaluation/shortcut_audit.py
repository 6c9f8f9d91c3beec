"""The shortcut audit: how much of a detector's success depends on what is not the voice.

Published detectors lose many points of EER once the silence around the speech is cut off. The audit scores eval again with
it cut off, through the same front end, and gives the correlation of the score with silence, duration and level.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import scipy.stats

from model.bundle import Bundle
from model.evaluation.audio import Audio
from model.metrics import DetCurve, ScoreTable, bootstrap, paired_bootstrap
from model.metrics.rates import eer_of_curve
from model.scoring.scorer import ClipScorer, trial_values
from pipeline.audio.measures import trim_silence
from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_key
from pipeline.frontends import make_front_end

_CORRELATED: Final = ("duration_s", "leading_silence_s", "level_db", "trailing_silence_s")
_THREADS: Final = 4
_CLIPS_AT_ONCE: Final = 64
_FEWEST: Final = 3


@dataclass(frozen=True)
class Trimmed:
    """Logits of clips without the silence at both ends.

    Attributes:
        logits: By utterance id.
        n_unchanged: Clips scored as they are, since too little would have been left.
    """

    logits: dict[str, float]
    n_unchanged: int


def trimmed_logits(
    bundle: Bundle,
    scorer: ClipScorer,
    audio: Audio,
    utterance_ids: Iterable[str],
    batch_size: int,
    scored: Callable[[int], None] = lambda count: None,
) -> Trimmed:
    """Scores clips with leading and trailing silence cut off, a few at a time.

    Args:
        bundle: For the front end.
        scorer: Of the bundle's network.
        audio: Where the clips are.
        utterance_ids: Which.
        batch_size: Windows at once.
        scored: Told how many more clips are done.

    Raises:
        ModelError: A clip is not there any more, or is another file than the one that the manifest describes.
    """
    front_end = make_front_end(bundle.features)
    read = audio.reader(bundle.features)

    def extract(name: str) -> tuple[Any, bool]:
        whole = read(name)
        cut = trim_silence(whole, bundle.features.sample_rate)
        is_kept = len(cut) < bundle.features.min_duration_s * bundle.features.sample_rate
        return front_end(whole if is_kept else cut).astype(np.float16), is_kept

    logits: dict[str, float] = {}
    n_unchanged = 0
    names = iter(utterance_ids)
    with ThreadPoolExecutor(_THREADS) as pool:
        while batch := list(islice(names, _CLIPS_AT_ONCE)):
            for name, (features, is_kept) in zip(batch, pool.map(extract, batch), strict=True):
                logits[name] = scorer.logit(features, batch_size)
                n_unchanged += is_kept
            scored(len(batch))
    return Trimmed(logits, n_unchanged)


def compare_trimmed(
    whole: ScoreTable, trimmed: ScoreTable, n_resamples: int, cluster: Any, seed: int
) -> dict[str, float]:
    """The EER without the silence, and its change.

    Args:
        whole: Scores of the clips as they are.
        trimmed: Scores of the same clips without the silence at both ends.
        n_resamples: For the 95 % intervals; 0 for none.
        cluster: What the bootstrap draws, as in `model.metrics.bootstrap`.
        seed: Seed of the draws.

    Returns:
        `eer` and `eer_change` (trimmed minus whole), fractions, each with `…_ci95_low` and `…_ci95_high`.
    """
    eer, change = eer_of_curve(trimmed.curve).value, eer_of_curve(trimmed.curve).value - eer_of_curve(whole.curve).value
    figures = {"eer": eer, "eer_change": change}
    if n_resamples:
        options: dict[str, Any] = {"n_resamples": n_resamples, "cluster": cluster, "seed": seed}
        interval = bootstrap(trimmed, _eer, **options)["eer"]
        difference = paired_bootstrap(whole, trimmed, _eer, _eer, **options)["eer"]
        figures |= {"eer_ci95_low": interval.low, "eer_ci95_high": interval.high}
        figures |= {"eer_change_ci95_low": difference.low, "eer_change_ci95_high": difference.high}
    return figures


def correlations(table: ScoreTable, trials: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Spearman's rank correlation of the score with what is not the voice, in [-1, 1], for each class.

    Within a class, so that a difference between the classes does not make it.

    Args:
        table: Scores.
        trials: Index rows of the same utterances, in the same order.

    Returns:
        By measure and by class, `bona_fide` and `spoof`; absent where all values of a class are equal.
    """
    columns = trial_values(trials, table, _CORRELATED)
    found: dict[str, dict[str, float]] = {}
    for measure, values in zip(_CORRELATED, columns, strict=True):
        of_class = {}
        for label in (BONA_FIDE, SPOOF):
            scores, measured = table.scores[table.labels == label], values[table.labels == label]
            if len(scores) >= _FEWEST and np.ptp(scores) > 0 and np.ptp(measured) > 0:
                of_class[label_key(label)] = float(scipy.stats.spearmanr(scores, measured).statistic)
        if of_class:
            found[measure] = of_class
    return found


def _eer(curve: DetCurve) -> dict[str, float]:
    return {"eer": eer_of_curve(curve).value}
