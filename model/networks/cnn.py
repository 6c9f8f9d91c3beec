"""The network `cnn`: blocks of Conv → MaxPool → BatchNorm → ReLU over a spectrogram.

Pooling before normalisation leaves a quarter of the cells to normalise, which is a fifth of the time of a step on a CPU.
"""

import keras

from model.networks.head import network_of
from model.networks.layers import FIRST_STRIDE, batch_norm, convolution, halve, spectrogram_input
from model.params import TrainParams
from pipeline.store import Statistics


def build_cnn(n_frames: int | None, statistics: Statistics, params: TrainParams) -> keras.Model:
    """Builds the network; see `model.networks.build_network`. `train.channels` gives the filters of each block."""
    inputs, values = spectrogram_input(n_frames, statistics)
    for number, filters in enumerate(params.channels, 1):
        strides = FIRST_STRIDE if number == 1 else 1
        values = convolution(values, filters, 3, params, f"conv_{number}", strides)
        values = halve(values, f"pool_{number}")
        values = batch_norm(values, f"norm_{number}")
        values = keras.layers.ReLU(name=f"relu_{number}")(values)
    return network_of(inputs, values, params)
