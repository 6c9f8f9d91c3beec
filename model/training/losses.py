"""The losses that training minimises, chosen by `train.loss`; a new one is one function here and one line in `LOSSES`."""

from collections.abc import Callable, Mapping
from typing import Final

import keras

from model.params import TrainParams
from model.registry import choose


def binary_crossentropy(_params: TrainParams) -> keras.losses.Loss:
    """Mean binary cross-entropy of logits, in nats; sample weights multiply each clip's term."""
    return keras.losses.BinaryCrossentropy(from_logits=True)


LOSSES: Final[Mapping[str, Callable[[TrainParams], keras.losses.Loss]]] = {
    "binary_crossentropy": binary_crossentropy,
}


def make_loss(params: TrainParams) -> keras.losses.Loss:
    """The loss that `train.loss` names, of labels float32 [batch] and logits float32 [batch, 1].

    Raises:
        ParamsError: There is no such loss.
    """
    return choose(LOSSES, "train.loss", params.loss)(params)
