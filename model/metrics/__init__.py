"""Metrics of spoofing detection, computed from scores with numpy alone. Nothing here reads audio, features or models.

A score is the log-odds for bona fide: higher = more genuine. Labels are 1 = bona fide, 0 = spoof. Every metric takes the scores
of both classes; the function of the same name that ends in `_of_curve` takes their DET curve, so that several metrics share one
sort. `docs/metrics.md` explains each number.
"""

from model.metrics.abstain import AbstainBand, abstain_band, band_outcomes
from model.metrics.asv import AsvErrorRates, AsvScores, asv_error_rates, read_asv_scores, refuse_other_corpus
from model.metrics.attacks import SEEN, UNSEEN, attack_aliases, by_seen, seen_as, without_twins
from model.metrics.breakdown import Part, by_attack, by_duration, by_group, by_speaker
from model.metrics.calibration import (
    Calibration,
    CalibrationLine,
    ReliabilityDiagram,
    fit_calibration,
    probability,
    refit,
    reliability_diagram,
)
from model.metrics.classification import Classification, auc, average_precision, classify
from model.metrics.detection_cost import ASVSPOOF5, CostModel, act_dcf, cllr, min_cllr, min_dcf
from model.metrics.errors import InvertedLabelsWarning, MetricsError
from model.metrics.fusion import Fusion, fit_fusion, scores_side_by_side
from model.metrics.intervals import Difference, Drawing, Interval, bootstrap, drawn_cluster, paired_bootstrap
from model.metrics.one_class import summarise_one_class
from model.metrics.rates import DetCurve, EqualErrorRate, det_curve, eer, rocch_eer
from model.metrics.score_files import Protocol, ScoreFile, format_scores, parse_scores, read_protocol, read_scores
from model.metrics.score_table import (
    ScoreTable,
    join,
    labelled_table,
    read_score_table,
    require_both_classes,
    score_table,
    trial_table,
)
from model.metrics.summary import (
    CHECKS,
    HEADLINES,
    CheckInfo,
    MetricInfo,
    calibration_checks,
    dev_threshold,
    headline_statistic,
    summarise,
)
from model.metrics.tandem import (
    ASVSPOOF5_TRACK2,
    SHIM2024,
    a_dcf,
    min_tdcf_2019,
    min_tdcf_2021,
    t_eer,
    undefined_costs,
)

__all__ = [
    "ASVSPOOF5",
    "ASVSPOOF5_TRACK2",
    "CHECKS",
    "HEADLINES",
    "SEEN",
    "SHIM2024",
    "UNSEEN",
    "AbstainBand",
    "AsvErrorRates",
    "AsvScores",
    "Calibration",
    "CalibrationLine",
    "CheckInfo",
    "Classification",
    "CostModel",
    "DetCurve",
    "Difference",
    "Drawing",
    "EqualErrorRate",
    "Fusion",
    "Interval",
    "InvertedLabelsWarning",
    "MetricInfo",
    "MetricsError",
    "Part",
    "Protocol",
    "ReliabilityDiagram",
    "ScoreFile",
    "ScoreTable",
    "a_dcf",
    "abstain_band",
    "act_dcf",
    "asv_error_rates",
    "attack_aliases",
    "auc",
    "average_precision",
    "band_outcomes",
    "bootstrap",
    "by_attack",
    "by_duration",
    "by_group",
    "by_seen",
    "by_speaker",
    "calibration_checks",
    "classify",
    "cllr",
    "det_curve",
    "dev_threshold",
    "drawn_cluster",
    "eer",
    "fit_calibration",
    "fit_fusion",
    "format_scores",
    "headline_statistic",
    "join",
    "labelled_table",
    "min_cllr",
    "min_dcf",
    "min_tdcf_2019",
    "min_tdcf_2021",
    "paired_bootstrap",
    "parse_scores",
    "probability",
    "read_asv_scores",
    "read_protocol",
    "read_score_table",
    "read_scores",
    "refit",
    "refuse_other_corpus",
    "reliability_diagram",
    "require_both_classes",
    "rocch_eer",
    "score_table",
    "scores_side_by_side",
    "seen_as",
    "summarise",
    "summarise_one_class",
    "t_eer",
    "trial_table",
    "undefined_costs",
    "without_twins",
]
