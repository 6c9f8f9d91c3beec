"""The calibration of a trained network: fitted on dev and, where there are any, on trials of attacks left out of train.

Scores of dev are those of attacks that the network knows. A calibration fitted on them alone claims too much about new attacks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model.development import HELD_OUT
from model.metrics import Calibration, ScoreTable, fit_calibration, trial_table
from model.training.held_out import HeldOutTrials


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A calibration and what it was fitted on.

    Attributes:
        calibration: From logit to log-likelihood ratio.
        table: Log-likelihood ratios of all trials it was fitted on. The id of a held-out trial begins with its fold.
        counts: `dev_bonafide`, `dev_spoof`, `folds`, `held_out_bonafide` and `held_out_spoof`: number of trials.
    """

    calibration: Calibration
    table: ScoreTable
    counts: Mapping[str, int]


def calibrate(dev: ScoreTable, held_out: HeldOutTrials | None) -> Calibrated:
    """Fits the calibration on dev and on every fold's trials together, both classes weighted alike.

    Where all logits are equal, the calibration gives a ratio of 0 for them: they are no evidence for either class.

    Args:
        dev: Logits of dev by the network.
        held_out: Logits of attacks that were left out, each by the network of its fold.

    Raises:
        MetricsError: A fold lacks a class, or a logit is not finite.

    Warns:
        InvertedLabelsWarning: Higher logits do not mean more genuine.
    """
    folds = [] if held_out is None else [(fold, held_out.table(fold)) for fold in held_out.folds]
    others = [_named_by_fold(table, fold) for fold, table in folds]
    pooled = _pooled([dev, *others])
    calibration = _without_evidence(pooled) if pooled.is_constant else fit_calibration(pooled.bonafide, pooled.spoof)
    counts = {
        "dev_bonafide": len(dev.bonafide),
        "dev_spoof": len(dev.spoof),
        "folds": len(others),
        "held_out_bonafide": sum(len(table.bonafide) for table in others),
        "held_out_spoof": sum(len(table.spoof) for table in others),
    }
    return Calibrated(calibration, pooled.with_scores(calibration.apply(pooled.scores)), counts)


def _without_evidence(table: ScoreTable) -> Calibration:
    return Calibration(1.0, -float(table.scores[0]), 0.5)


def _named_by_fold(table: ScoreTable, fold: int) -> ScoreTable:
    names = [f"{HELD_OUT}{fold}:{name}" for name in table.utterance_ids.tolist()]
    return trial_table(names, table.scores, table.labels, table.attack_ids, table.speaker_ids, table.source)


def _pooled(tables: list[ScoreTable]) -> ScoreTable:
    columns = (
        [getattr(table, name) for table in tables]
        for name in ("utterance_ids", "scores", "labels", "attack_ids", "speaker_ids")
    )
    names, scores, labels, attacks, speakers = (np.concatenate(parts) for parts in columns)
    return trial_table(names, scores, labels, attacks, speakers, tables[0].source)
