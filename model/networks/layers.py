"""Layers that the networks share: the normalised input, convolution and batch normalisation.

All are standard Keras layers, so that a saved network opens without this project.
"""

from typing import Final

import keras

from model.params import TrainParams
from pipeline.store import Statistics

# The first convolution skips every other frame and bin: a quarter of the work for the costliest layer.
FIRST_STRIDE: Final = 2
_SMALLEST_DEVIATION: Final = 1e-3
# Keras' default, 0.99, averages over several epochs when an epoch has a few dozen steps.
_NORM_MOMENTUM: Final = 0.9


def spectrogram_input(n_frames: int | None, statistics: Statistics) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The input of a network in dB, and its values normalised by the statistics of the training data.

    Returns:
        float32 [batch, n_frames, n_bins], and [batch, n_frames, n_bins, 1] in the dtype of computation.
    """
    n_bins = len(statistics.mean)
    # A bin that never varies, such as one beyond the corpus' band, is not amplified.
    deviation = statistics.deviation.clip(min=_SMALLEST_DEVIATION)
    inputs = keras.Input((n_frames, n_bins), name="spectrogram_db")
    values = keras.layers.Normalization(
        axis=-1, mean=statistics.mean.tolist(), variance=(deviation**2).tolist(), name="normalise", dtype="float32"
    )(inputs)
    return inputs, keras.layers.Reshape((-1, n_bins, 1), name="add_channel")(values)


def kernel_penalty(params: TrainParams) -> keras.regularizers.Regularizer | None:
    """The L2 penalty on a kernel, `train.l2` times the sum of its squares; None for 0."""
    return keras.regularizers.L2(params.l2) if params.l2 else None


def convolution(
    values: keras.KerasTensor,
    filters: int,
    size: int,
    params: TrainParams,
    name: str,
    strides: int = 1,
    *,
    use_bias: bool = False,
) -> keras.KerasTensor:
    """A convolution over time and frequency, by default without bias: the batch normalisation that follows has one."""
    return keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=use_bias,
        kernel_regularizer=kernel_penalty(params),
        name=name,
    )(values)


def halve(values: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Maximum of each 2 × 2 cells; "same" padding, so that an axis of one frame or bin stays at one."""
    return keras.layers.MaxPooling2D(2, padding="same", name=name)(values)


def batch_norm(values: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Batch normalisation over time and frequency.

    Synchronised: devices that share a batch normalise by the statistics of all of it, as one device does. On one device,
    `model.training.fused_norm` computes the same by one fused operation.
    """
    # Keras synchronises replicas on TensorFlow alone; other backends are for `benchmarks/bench_network_steps.py`, on one device.
    synchronized = keras.backend.backend() == "tensorflow"
    return keras.layers.BatchNormalization(momentum=_NORM_MOMENTUM, synchronized=synchronized, name=name)(values)
