"""The networks, one per module, chosen by `train.network`.

A new network is one module here and one line in `NETWORKS`. Loss, optimiser, precision and devices are those of
`model.training`.
"""

from collections.abc import Callable, Mapping
from typing import Final

import keras

from model.networks.cnn import build_cnn
from model.params import TrainParams
from model.registry import choose
from pipeline.store import Statistics

NETWORKS: Final[Mapping[str, Callable[[int, Statistics, TrainParams], keras.Model]]] = {
    "cnn": build_cnn,
}


def build_network(n_frames: int, statistics: Statistics, params: TrainParams) -> keras.Model:
    """The untrained network that `train.network` names; its initial weights follow from Keras' global seed.

    Args:
        n_frames: Frames of its input.
        statistics: Mean and deviation of each bin over the training data, in dB.
        params: `network` chooses the entry, the others are its own parameters.

    Returns:
        A model from float32 [batch, n_frames, n_bins] in dB to the logit for bona fide, float32 [batch, 1], whose layer
        `normalise` is a `keras.layers.Normalization` by the statistics, and which has a ReLU layer over time and frequency: the
        report shows Grad-CAM of the last one. It computes in Keras' global dtype policy; its
        logit is float32 always.

    Raises:
        ParamsError: There is no such network.
    """
    return choose(NETWORKS, "train.network", params.network)(n_frames, statistics, params)
