"""The networks, one per module, chosen by `train.network`.

A new network is one module here, one line in `NETWORKS` and its name in `model.params.NetworkName`. What the networks share is
in `layers`; `head` makes a logit of their last feature maps, by the pooling that `train.pooling` names and the output that the
loss needs. Loss, optimiser, precision and devices are those of `model.training`.
"""

from collections.abc import Callable, Mapping
from typing import Final

import keras

from model.networks.cnn import build_cnn
from model.networks.lcnn import build_lcnn
from model.networks.resnet import build_resnet
from model.params import TrainParams
from model.registry import choose
from pipeline.store import Statistics

NETWORKS: Final[Mapping[str, Callable[[int | None, Statistics, TrainParams], keras.Model]]] = {
    "cnn": build_cnn,
    "lcnn": build_lcnn,
    "resnet": build_resnet,
}


def build_network(n_frames: int | None, statistics: Statistics, params: TrainParams) -> keras.Model:
    """The untrained network that `train.network` names; its initial weights follow from Keras' global seed.

    Args:
        n_frames: Frames of its input; None for a network that takes clips of any length. The weights of one fit the other.
        statistics: Mean and deviation of each bin over the training data, in dB.
        params: `network` chooses the entry, the others are its own parameters.

    Returns:
        A model from float32 [batch, n_frames, n_bins] in dB to the logit for bona fide, float32 [batch, 1]: an unbounded one,
        or the cosine in [-1, 1] that the loss `one_class_softmax` needs. Its layer `normalise` is a
        `keras.layers.Normalization` by the statistics. The last layer that has a time and a frequency axis is what Grad-CAM
        shows in the report. The model consists of standard Keras layers and computes in Keras' global dtype policy; its logit
        is float32 always.

    Raises:
        ParamsError: There is no such network or pooling.
    """
    return choose(NETWORKS, "train.network", params.network)(n_frames, statistics, params)
