"""Measures common in machine learning: areas under curves, and accuracy, precision, recall and F1 at one threshold.

Bona fide is the positive class. All values are fractions in [0, 1]; higher is better. The definitions are those of
scikit-learn (`roc_auc_score`, `average_precision_score`, `accuracy_score`, ..., with `zero_division=0`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.metrics.rates import DetCurve, det_curve


@dataclass(frozen=True)
class Classification:
    """Counts of decisions at one threshold, and the measures that follow from them.

    Attributes:
        threshold: Score from which a trial was called bona fide.
        accepted_bonafide: Bona fide trials called bona fide.
        rejected_bonafide: Bona fide trials called spoof.
        accepted_spoof: Spoof trials called bona fide.
        rejected_spoof: Spoof trials called spoof.
    """

    threshold: float
    accepted_bonafide: float
    rejected_bonafide: float
    accepted_spoof: float
    rejected_spoof: float

    @property
    def accuracy(self) -> float:
        """Share of all trials called correctly; depends on the balance of the classes."""
        right = self.accepted_bonafide + self.rejected_spoof
        return right / (right + self.rejected_bonafide + self.accepted_spoof)

    @property
    def balanced_accuracy(self) -> float:
        """Mean over both classes of the share called correctly; 0.5 is chance."""
        return (self.recall + self.rejected_spoof / (self.accepted_spoof + self.rejected_spoof)) / 2

    @property
    def precision(self) -> float:
        """Share of bona fide among the trials called bona fide; 0 if there are none."""
        accepted = self.accepted_bonafide + self.accepted_spoof
        return self.accepted_bonafide / accepted if accepted else 0.0

    @property
    def recall(self) -> float:
        """Share of bona fide trials called bona fide."""
        return self.accepted_bonafide / (self.accepted_bonafide + self.rejected_bonafide)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.accepted_bonafide / (2 * self.accepted_bonafide + self.accepted_spoof + self.rejected_bonafide)


def classify(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, threshold: float) -> Classification:
    """Counts decisions when every score at or above `threshold` is called bona fide."""
    return classify_curve(det_curve(bonafide, spoof), threshold)


def classify_curve(curve: DetCurve, threshold: float) -> Classification:
    """As `classify`, from a DET curve."""
    miss, false_alarm = curve.rates(threshold)
    rejected, accepted = round(miss * curve.n_bonafide), round(false_alarm * curve.n_spoof)
    return Classification(threshold, curve.n_bonafide - rejected, rejected, accepted, curve.n_spoof - accepted)


def auc(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """Area under the ROC curve: probability that a bona fide trial scores above a spoof one, ties count half; 0.5 is chance."""
    return auc_of_curve(det_curve(bonafide, spoof))


def auc_of_curve(curve: DetCurve) -> float:
    """Area under the ROC curve by the trapezoid rule, which is exact here."""
    hit = 1 - (curve.miss[:-1] + curve.miss[1:]) / 2
    return float(np.sum(curve.spoof_counts * hit)) / curve.n_spoof


def average_precision(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """Precision averaged over recall; chance is the share of bona fide trials."""
    return average_precision_of_curve(det_curve(bonafide, spoof))


def average_precision_of_curve(curve: DetCurve) -> float:
    """Sum over distinct scores of the precision from that score up × the recall that the score adds; not interpolated."""
    accepted_bonafide = (1 - curve.miss[:-1]) * curve.n_bonafide
    accepted_spoof = curve.false_alarm[:-1] * curve.n_spoof
    precision = accepted_bonafide / np.maximum(accepted_bonafide + accepted_spoof, 1.0)
    return float(np.sum(curve.bonafide_counts * precision)) / curve.n_bonafide
