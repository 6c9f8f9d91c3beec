"""The interactive charts of the page as plotly figures: plain dictionaries, ready for JSON.

`scores` (the histogram), `curves` (ROC, precision and recall, DET, calibration) and `training` make one chart per function;
`traces` holds what they share. Charts show numbers of the evaluation and of the training; nothing is measured here.
"""

from model.report.charts.curves import calibration, det, precision_recall, roc
from model.report.charts.scores import score_histogram
from model.report.charts.traces import Chart
from model.report.charts.training import training_curves

__all__ = ["Chart", "calibration", "det", "precision_recall", "roc", "score_histogram", "training_curves"]
