"""Scores of whole corpora on any Beam runner: a manifest in, score files out, shard by shard, with the exported ONNX model.

Nothing here needs TensorFlow, neither the command nor the workers. Single recordings are scored in `model.scoring`.
"""
