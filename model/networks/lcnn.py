"""The network `lcnn`, a light CNN: convolutions whose activation is the maximum of two feature maps (max feature map).

Sources: Wu et al., "A Light CNN for Deep Face Representation with Noisy Labels", IEEE Transactions on Information Forensics
and Security 13(11), 2018; for this task Lavrentyeva et al., "STC Antispoofing Systems for the ASVspoof2019 Challenge",
Interspeech 2019.
"""

import keras

from model.networks.head import network_of
from model.networks.layers import FIRST_STRIDE, batch_norm, convolution, halve, spectrogram_input
from model.params import TrainParams
from pipeline.store import Statistics


def build_lcnn(n_frames: int | None, statistics: Statistics, params: TrainParams) -> keras.Model:
    """Builds the network; see `model.networks.build_network`.

    The first entry of `train.channels` is a convolution of 5 × 5, each other one a convolution of 1 × 1 that keeps the number
    of maps, and one of 3 × 3. The numbers are those after the maximum, half of the filters.
    """
    inputs, values = spectrogram_input(n_frames, statistics)
    values = _max_feature_map(values, params.channels[0], 5, params, "conv_1", FIRST_STRIDE)
    values = halve(values, "pool_1")
    for number, channels in enumerate(params.channels[1:], 2):
        values = _max_feature_map(values, values.shape[-1], 1, params, f"mix_{number}")
        values = batch_norm(values, f"norm_mix_{number}")
        values = _max_feature_map(values, channels, 3, params, f"conv_{number}")
        values = batch_norm(halve(values, f"pool_{number}"), f"norm_{number}")
    return network_of(inputs, values, params)


def _max_feature_map(
    values: keras.KerasTensor, channels: int, size: int, params: TrainParams, name: str, strides: int = 1
) -> keras.KerasTensor:
    # One convolution of twice the filters, cut into halves, would be the same but takes twice the time on a CPU.
    halves = [
        convolution(values, channels, size, params, f"{name}{half}", strides, use_bias=True) for half in ("a", "b")
    ]
    return keras.layers.Maximum(name=f"max_{name}")(halves)
