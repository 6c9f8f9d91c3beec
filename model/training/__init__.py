"""Training: Keras `compile` and `fit` with the project's loss, callbacks and choice of devices; writes the model bundle.

The networks are in `model.networks`, their input in `model.sampler` and `model.dataset`, the scoring of dev in `model.scoring`.
"""
