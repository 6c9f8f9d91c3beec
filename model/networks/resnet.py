"""The network `resnet`: residual blocks with squeeze-and-excitation.

Sources: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; Hu, Shen and Sun, "Squeeze-and-Excitation
Networks", CVPR 2018; for this task Lai et al., "ASSERT: Anti-Spoofing with Squeeze-Excitation and Residual neTworks",
Interspeech 2019.
"""

from typing import Final

import keras

from model.networks.head import network_of
from model.networks.layers import FIRST_STRIDE, batch_norm, convolution, halve, kernel_penalty, spectrogram_input
from model.params import TrainParams
from pipeline.store import Statistics

# Channels of a block for each unit of its squeezed vector.
_REDUCTION: Final = 8
_FEWEST_SQUEEZED: Final = 4


def build_resnet(n_frames: int | None, statistics: Statistics, params: TrainParams) -> keras.Model:
    """Builds the network; see `model.networks.build_network`.

    A convolution and a pooling quarter both axes, then each entry of `train.channels` is a residual block of that many
    channels; all but the first halve both axes.
    """
    inputs, values = spectrogram_input(n_frames, statistics)
    values = convolution(values, params.channels[0], 3, params, "conv_0", FIRST_STRIDE)
    values = halve(values, "pool_0")
    values = keras.layers.ReLU(name="relu_0")(batch_norm(values, "norm_0"))
    for number, channels in enumerate(params.channels, 1):
        values = _residual_block(values, channels, 1 if number == 1 else 2, params, str(number))
    return network_of(inputs, values, params)


def _residual_block(
    values: keras.KerasTensor, channels: int, strides: int, params: TrainParams, number: str
) -> keras.KerasTensor:
    layers = keras.layers
    change = convolution(values, channels, 3, params, f"conv_{number}a", strides)
    change = layers.ReLU(name=f"relu_{number}a")(batch_norm(change, f"norm_{number}a"))
    change = convolution(change, channels, 3, params, f"conv_{number}b")
    change = _excited(batch_norm(change, f"norm_{number}b"), params, number)
    if strides != 1 or values.shape[-1] != channels:
        values = convolution(values, channels, 1, params, f"conv_{number}skip", strides)
        values = batch_norm(values, f"norm_{number}skip")
    values = layers.Add(name=f"join_{number}")([values, change])
    return layers.ReLU(name=f"relu_{number}")(values)


def _excited(values: keras.KerasTensor, params: TrainParams, number: str) -> keras.KerasTensor:
    """The values, each channel times a factor in (0, 1) that the means of all channels give."""
    layers, penalty, channels = keras.layers, kernel_penalty(params), values.shape[-1]
    factors = layers.GlobalAveragePooling2D(name=f"means_{number}")(values)
    squeezed = max(_FEWEST_SQUEEZED, channels // _REDUCTION)
    factors = layers.Dense(squeezed, activation="relu", kernel_regularizer=penalty, name=f"excite_{number}a")(factors)
    factors = layers.Dense(channels, activation="sigmoid", kernel_regularizer=penalty, name=f"excite_{number}b")(
        factors
    )
    factors = layers.Reshape((1, 1, channels), name=f"factors_{number}")(factors)
    return layers.Multiply(name=f"scale_{number}")([values, factors])
