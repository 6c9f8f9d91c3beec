"""Calibration: an affine map that turns scores into log-likelihood ratios, and what checks it: a refit and a diagram.

The map is fitted by logistic regression with the classes weighted to a stated prior. Sources: Platt, "Probabilistic outputs for
support vector machines", 1999, whose softened targets give a finite map for separable scores; Brümmer and du Preez, 2006.
"""

import math
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.metrics.errors import InvertedLabelsWarning, MetricsError
from model.metrics.rates import FloatArray, check_scores

MAX_ITERATIONS = 100
MIN_RELATIVE_SLOPE = 1e-3


@dataclass(frozen=True)
class Calibration:
    """An affine map from scores to log-likelihood ratios: slope · score + intercept.

    Attributes:
        slope: Above 0. The order of scores does not change, and neither does any EER, AUC or minimum cost.
        intercept: In nats.
        prior: Prior probability of bona fide to which the fit weighted the classes.
    """

    slope: float
    intercept: float
    prior: float

    def apply(self, scores: npt.ArrayLike) -> FloatArray:
        """Log-likelihood ratios for bona fide, float64, in nats, of the shape of `scores`."""
        return self.slope * np.asarray(scores, dtype=np.float64) + self.intercept


class CalibrationLine(NamedTuple):
    """The affine map that log-likelihood ratios would still need on other trials than those of the calibration.

    Attributes:
        slope: 1 if they are honest; below 1, they claim more than they know; below 0, they point the other way.
        offset: In nats; 0 if they are honest, above 0 if they speak too often for spoof.
    """

    slope: float
    offset: float


@dataclass(frozen=True, eq=False)
class ReliabilityDiagram:
    """Predicted probability of bona fide and observed share of bona fide, per bin; arrays have the length [bins].

    Attributes:
        edges: float64 [bins + 1], bin edges from 0 to 1.
        predicted: Mean predicted probability; NaN in an empty bin.
        observed: Share of bona fide, classes weighted to the stated prior; NaN in an empty bin.
        n_bonafide: Bona fide trials.
        n_spoof: Spoof trials.
        expected_calibration_error: Mean of |predicted − observed| weighted by the bins' share of trials at the stated prior,
            in [0, 1].
    """

    edges: FloatArray
    predicted: FloatArray
    observed: FloatArray
    n_bonafide: FloatArray
    n_spoof: FloatArray
    expected_calibration_error: float


def probability(llr: npt.ArrayLike, prior: float = 0.5) -> FloatArray:
    """Probability of bona fide for log-likelihood ratios at a stated prior: sigmoid(llr + log-odds of the prior)."""
    log_odds = np.asarray(llr, dtype=np.float64) + _log_odds(prior)
    result: FloatArray = np.exp(-np.logaddexp(0, -log_odds))
    return result


def fit_calibration(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, prior: float = 0.5) -> Calibration:
    """Fits the map on dev scores by Newton's method.

    Args:
        bonafide: float64 [n], dev scores of bona fide trials.
        spoof: float64 [m], dev scores of spoof trials.
        prior: Prior probability of bona fide for which the map is optimised, in (0, 1).

    Raises:
        MetricsError: A class is missing, a score is not finite, all scores are equal, or the prior is out of range.

    Warns:
        InvertedLabelsWarning: Higher scores do not mean more genuine. The slope is then small and positive, which gives
            ratios near 0 in the order of the scores.
    """
    fit = logistic_regression(_columns(bonafide, "bona fide"), _columns(spoof, "spoof"), prior)
    slope, intercept = float(fit.slopes[0]), fit.intercept
    if slope < MIN_RELATIVE_SLOPE:
        warnings.warn(
            "calibration: higher scores do not mean more genuine on the data it is fitted on. Labels may be inverted, or "
            "the scores carry no information; the ratios are set near 0",
            InvertedLabelsWarning,
            stacklevel=2,
        )
        slope, intercept = MIN_RELATIVE_SLOPE, 0.0
    centre, spread = float(fit.centres[0]), float(fit.spreads[0])
    return Calibration(slope / spread, intercept - slope * centre / spread, prior)


def refit(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, prior: float = 0.5) -> CalibrationLine:
    """The affine map that log-likelihood ratios would still need on these trials: slope 1 and offset 0 if they are honest.

    Args:
        bonafide: float64 [n], log-likelihood ratios of bona fide trials.
        spoof: float64 [m], log-likelihood ratios of spoof trials.
        prior: As in `fit_calibration`.

    Raises:
        MetricsError: As in `fit_calibration`.
    """
    fit = logistic_regression(_columns(bonafide, "bona fide"), _columns(spoof, "spoof"), prior)
    slope = float(fit.slopes[0] / fit.spreads[0])
    return CalibrationLine(slope, fit.intercept - slope * float(fit.centres[0]))


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """A fitted logistic regression: sum of slopes · (scores − centres) / spreads, plus the intercept.

    Attributes:
        slopes: float64 [systems], of standardised scores.
        intercept: In nats.
        centres: float64 [systems], means of the scores.
        spreads: float64 [systems], standard deviations of the scores, above 0.
    """

    slopes: FloatArray
    intercept: float
    centres: FloatArray
    spreads: FloatArray


def logistic_regression(bonafide: FloatArray, spoof: FloatArray, prior: float, ridge: float = 0.0) -> LogisticFit:
    """Logistic regression of the class on scores, by Newton's method, with softened targets and weighted classes.

    Args:
        bonafide: float64 [n, systems], finite scores of bona fide trials.
        spoof: float64 [m, systems], finite scores of spoof trials.
        prior: Prior probability of bona fide to which the classes are weighted, in (0, 1).
        ridge: Weight of half the sum of the squared slopes of standardised scores in the loss.

    Raises:
        MetricsError: All scores of a system are equal, or the prior is out of range.
    """
    offset = _log_odds(prior)
    scores = np.concatenate((bonafide, spoof))
    centres, spreads = scores.mean(axis=0), scores.std(axis=0)
    if not spreads.all():
        raise MetricsError("all scores are equal: there is nothing to calibrate")
    n, m = len(bonafide), len(spoof)
    targets = np.concatenate((np.full(n, (n + 1) / (n + 2)), np.full(m, 1 / (m + 2))))
    weights = np.concatenate((np.full(n, prior / n), np.full(m, (1 - prior) / m)))
    inputs = np.concatenate((((scores - centres) / spreads).T, np.ones((1, n + m))))
    penalties = np.concatenate((np.full(scores.shape[1], ridge), [0.0]))
    parameters = _newton(inputs, targets, weights, offset, penalties)
    return LogisticFit(parameters[:-1], float(parameters[-1]), centres, spreads)


def _columns(scores: npt.ArrayLike, what: str) -> FloatArray:
    """Checked scores of one system, float64 [n, 1]."""
    return check_scores(scores, what)[:, np.newaxis]


def _newton(
    inputs: FloatArray, targets: FloatArray, weights: FloatArray, offset: float, penalties: FloatArray
) -> FloatArray:
    """Minimises the weighted cross-entropy of sigmoid(parameters · inputs + offset) plus penalties · parameters² / 2.

    A step that does not lower it is halved.
    """

    def loss(parameters: FloatArray) -> float:
        logits = parameters @ inputs + offset
        entropy = weights @ (np.logaddexp(0, logits) - targets * logits)
        return float(entropy + penalties @ parameters**2 / 2)

    parameters = np.zeros(len(inputs))
    current = loss(parameters)
    for _ in range(MAX_ITERATIONS):
        fitted = probability(parameters @ inputs + offset)
        gradient = inputs @ (weights * (fitted - targets)) + penalties * parameters
        hessian = (inputs * (weights * fitted * (1 - fitted))) @ inputs.T + np.diag(penalties + 1e-12)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-10 and loss(parameters - size * step) > current:
            size /= 2
        parameters = parameters - size * step
        previous, current = current, loss(parameters)
        if previous - current < 1e-14:
            break
    return parameters


def reliability_diagram(
    bonafide: npt.ArrayLike, spoof: npt.ArrayLike, *, prior: float = 0.5, n_bins: int = 10
) -> ReliabilityDiagram:
    """Compares predicted probabilities with observed shares, in bins of equal width.

    Args:
        bonafide: float64 [n], log-likelihood ratios of bona fide trials.
        spoof: float64 [m], log-likelihood ratios of spoof trials.
        prior: Prior probability of bona fide at which probabilities are stated. The classes are weighted to it, so the
            diagram does not depend on the number of trials of each.
        n_bins: Number of bins.

    Raises:
        MetricsError: A class is missing, a score is not finite, or the prior is out of range.
    """
    genuine = probability(check_scores(bonafide, "bona fide"), prior)
    fake = probability(check_scores(spoof, "spoof"), prior)
    edges = np.linspace(0, 1, n_bins + 1)

    def per_bin(values: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        bins = np.minimum((values * n_bins).astype(np.intp), n_bins - 1)
        return np.bincount(bins, weights=weights, minlength=n_bins).astype(np.float64)

    n_bonafide, n_spoof = per_bin(genuine), per_bin(fake)
    bonafide_mass, spoof_mass = prior * n_bonafide / len(genuine), (1 - prior) * n_spoof / len(fake)
    mass = bonafide_mass + spoof_mass
    total = prior * per_bin(genuine, genuine) / len(genuine) + (1 - prior) * per_bin(fake, fake) / len(fake)
    filled = mass > 0
    predicted = np.full(n_bins, np.nan)
    observed = np.full(n_bins, np.nan)
    predicted[filled] = total[filled] / mass[filled]
    observed[filled] = bonafide_mass[filled] / mass[filled]
    error = float(np.sum(mass[filled] * np.abs(predicted[filled] - observed[filled])))
    return ReliabilityDiagram(edges, predicted, observed, n_bonafide, n_spoof, error)


def _log_odds(prior: float) -> float:
    if not 0 < prior < 1:
        raise MetricsError(f"the prior probability of bona fide must be between 0 and 1, not {prior}")
    return math.log(prior / (1 - prior))
