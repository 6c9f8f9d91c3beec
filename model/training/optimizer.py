"""The optimizer of training: Adam (Kingma and Ba, ICLR 2015) with a learning rate that warms up and then falls or stays."""

from typing import Final

import keras

from model.params import TrainParams

LAST_SHARE: Final = 0.01
"""What a cosine schedule leaves of the highest learning rate at the last step."""


def make_schedule(params: TrainParams) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by step, from 0.

    It rises in a straight line over the share `train.warmup` of the steps, then follows half a cosine (Loshchilov and Hutter,
    "SGDR", ICLR 2017, without restarts) down to `LAST_SHARE` of the highest, or stays.
    """
    warmup_steps = round(params.warmup * params.steps)
    alpha = LAST_SHARE if params.schedule == "cosine" else 1.0
    # The first step has a learning rate as well.
    initial = params.learning_rate / (warmup_steps + 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=initial if warmup_steps else params.learning_rate,
        decay_steps=max(1, params.steps - warmup_steps - 1),
        alpha=alpha,
        warmup_target=params.learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )


def make_optimizer(params: TrainParams, n_devices: int) -> keras.optimizers.Optimizer:
    """Adam with the schedule and the clipping that the parameters ask for.

    Args:
        params: `schedule`, `warmup`, `learning_rate`, `steps` and `clip_norm`.
        n_devices: Devices that share a batch.
    """
    # Keras clips each device's part of the gradient before it adds the parts up, and each part is divided by their number.
    clip_norm = params.clip_norm / n_devices if params.clip_norm else None
    return keras.optimizers.Adam(make_schedule(params), global_clipnorm=clip_norm)
