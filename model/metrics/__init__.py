"""Metrics of spoofing detection, computed from scores with numpy alone. Nothing here reads audio, features or models.

A score is the log-odds for bona fide: higher = more genuine. Labels are 1 = bona fide, 0 = spoof. Every metric takes the scores
of both classes; the function of the same name that ends in `_of_curve` takes their DET curve, so that several metrics share one
sort. `docs/metrics.md` explains each number.
"""

from model.metrics.abstain import AbstainBand, abstain_band
from model.metrics.asv import AsvErrorRates, AsvScores, asv_error_rates, read_asv_scores, refuse_other_corpus
from model.metrics.breakdown import Part, by_attack, by_duration, by_group, by_speaker
from model.metrics.calibration import Calibration, ReliabilityDiagram, fit_calibration, probability, reliability_diagram
from model.metrics.classification import Classification, auc, average_precision, classify
from model.metrics.detection_cost import ASVSPOOF5, CostModel, act_dcf, cllr, min_dcf
from model.metrics.errors import InvertedLabelsWarning, MetricsError
from model.metrics.intervals import Difference, Interval, bootstrap, paired_bootstrap
from model.metrics.rates import DetCurve, EqualErrorRate, det_curve, eer, rocch_eer
from model.metrics.score_files import Protocol, ScoreFile, format_scores, parse_scores, read_protocol, read_scores
from model.metrics.score_table import ScoreTable, join, labelled_table, read_score_table, score_table
from model.metrics.summary import HEADLINES, MetricInfo, dev_threshold, headline_statistic, summarise
from model.metrics.tandem import a_dcf, min_tdcf_2019, min_tdcf_2021, t_eer

__all__ = [
    "ASVSPOOF5",
    "HEADLINES",
    "AbstainBand",
    "AsvErrorRates",
    "AsvScores",
    "Calibration",
    "Classification",
    "CostModel",
    "DetCurve",
    "Difference",
    "EqualErrorRate",
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
    "auc",
    "average_precision",
    "bootstrap",
    "by_attack",
    "by_duration",
    "by_group",
    "by_speaker",
    "classify",
    "cllr",
    "det_curve",
    "dev_threshold",
    "eer",
    "fit_calibration",
    "format_scores",
    "headline_statistic",
    "join",
    "labelled_table",
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
    "refuse_other_corpus",
    "reliability_diagram",
    "rocch_eer",
    "score_table",
    "summarise",
    "t_eer",
]
