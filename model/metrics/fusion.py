"""Fusion of several systems: a weighted sum of their scores that is a log-likelihood ratio.

Linear logistic regression as in Brümmer et al., "Fusion of heterogeneous speaker recognition systems in the STBU submission for
the NIST SRE 2006", IEEE TASLP 15(7), 2007, with both classes weighted alike. Weights may be negative: a system can correct
another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from model.metrics.calibration import logistic_regression
from model.metrics.errors import MetricsError, enumerate_some
from model.metrics.rates import FloatArray
from model.metrics.score_files import ScoreFile

RIDGE: Final = 1e-5
"""Keeps the weights of systems that give nearly the same scores finite and alike."""


@dataclass(frozen=True, eq=False)
class Fusion:
    """A weighted sum of the scores of several systems.

    Attributes:
        weights: float64 [systems].
        intercept: In nats.
        prior: Prior probability of bona fide to which the fit weighted the classes.
    """

    weights: FloatArray
    intercept: float
    prior: float

    def apply(self, scores: npt.ArrayLike) -> FloatArray:
        """Log-likelihood ratios for bona fide, float64 [n], in nats, of scores [n, systems]."""
        fused: FloatArray = np.asarray(scores, dtype=np.float64) @ self.weights + self.intercept
        return fused


def fit_fusion(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, prior: float = 0.5) -> Fusion:
    """Fits the weights on dev scores; softened targets and a small ridge keep them finite for separable scores.

    Args:
        bonafide: float64 [n, systems], dev scores of bona fide trials.
        spoof: float64 [m, systems], dev scores of spoof trials.
        prior: Prior probability of bona fide for which the sum is optimised, in (0, 1).

    Raises:
        MetricsError: A class is missing, a score is not finite, all scores of a system are equal, or the prior is out of range.
    """
    genuine, fake = np.asarray(bonafide, dtype=np.float64), np.asarray(spoof, dtype=np.float64)
    if not (len(genuine) and len(fake)):
        raise MetricsError("a fusion needs dev scores of both classes")
    if not (np.isfinite(genuine).all() and np.isfinite(fake).all()):
        raise MetricsError("a fusion needs finite scores")
    fit = logistic_regression(genuine, fake, prior, RIDGE)
    weights = fit.slopes / fit.spreads
    return Fusion(weights, fit.intercept - float(weights @ fit.centres), prior)


def scores_side_by_side(files: Sequence[ScoreFile]) -> FloatArray:
    """The scores of several systems on the same utterances, in the order of the first file.

    Args:
        files: One per system.

    Returns:
        float64 [utterances, systems].

    Raises:
        MetricsError: Two files score different utterances or contradict each other on a label; both files and the
            utterances are named.
    """
    first, *others = files
    names = first.utterance_ids.tolist()
    columns = [first.scores]
    for other in others:
        place = {name: number for number, name in enumerate(other.utterance_ids.tolist())}
        _refuse_other_utterances(first, other, set(place))
        order = np.array([place[name] for name in names])
        if first.labels is not None and other.labels is not None:
            differing = [names[i] for i in np.flatnonzero(first.labels != other.labels[order])]
            if differing:
                raise MetricsError(
                    f"{first.source} and {other.source} contradict each other on the label of {enumerate_some(differing)}"
                )
        columns.append(other.scores[order])
    return np.stack(columns, axis=1)


def _refuse_other_utterances(first: ScoreFile, other: ScoreFile, scored: set[str]) -> None:
    wanted = set(first.utterance_ids.tolist())
    for file, missing in ((other, wanted - scored), (first, scored - wanted)):
        if missing:
            rest = first if file is other else other
            raise MetricsError(
                f"{file.source}: no score for {len(missing):,} utterances that {rest.source} scores: "
                f"{enumerate_some(sorted(missing))}. A fusion needs every system's score of every utterance"
            )
