"""Scores of recordings: windows of a clip, the network's logits for them, verdicts, and what recordings are unlike training.

`RecordingScorer` takes files, bytes and samples of any length; `model.detector` is its public face. Metrics of scores are in
`model.metrics`, and the evaluation of a whole split is in `model.evaluation`.
"""
