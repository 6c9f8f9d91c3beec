"""What is measured of data and detector: evaluation of dev and eval, shortcut audit, data validation.

`evaluate` writes metrics, scores and the plot data of `curves`; `data_validation` and `validation_files` need no TensorFlow.
The formulas of the metrics are in `model.metrics`, scores of clips in `model.scoring`, the page in `model.report`.
"""
