"""Scores of clips: windows of a clip, the network's logit for them, and the scores of audio files.

Metrics of scores are in `model.metrics`, and the evaluation of a whole split is in `model.evaluation`.
"""
