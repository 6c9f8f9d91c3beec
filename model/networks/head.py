"""From the feature maps of a network to its logit: pooling over time and frequency, dropout, one output.

`POOLINGS` holds the ways of pooling that `train.pooling` names. Those beyond the average compute in float32, whatever the
precision of training, and they work for any number of frames.
"""

from collections.abc import Callable, Mapping
from typing import Final

import keras
from keras import ops

from model.networks.layers import kernel_penalty
from model.params import TrainParams
from model.registry import choose

# Keeps the gradient of the square root finite where a map is constant.
_SMALLEST_VARIANCE: Final = 1e-5


def average_pooling(maps: keras.KerasTensor, params: TrainParams) -> keras.KerasTensor:
    """The mean of each feature map; dropout acts on its cells.

    Args:
        maps: [batch, frames, bins, channels]
        params: `dropout`.

    Returns:
        [batch, channels]
    """
    maps = keras.layers.Dropout(params.dropout, name="dropout")(maps)
    return keras.layers.GlobalAveragePooling2D(name="average")(maps)


def statistics_pooling(maps: keras.KerasTensor, params: TrainParams) -> keras.KerasTensor:
    """The mean and the standard deviation of each feature map; dropout acts on these, for on cells it would add deviation.

    Source: Snyder et al., "X-vectors: Robust DNN Embeddings for Speaker Recognition", ICASSP 2018, there over time alone.

    Args:
        maps: [batch, frames, bins, channels]
        params: `dropout`.

    Returns:
        float32 [batch, 2 * channels]
    """
    mean, variance = ops.moments(_cells(maps), axes=[1])
    return _mean_and_deviation(mean, variance, params)


def attention_pooling(maps: keras.KerasTensor, params: TrainParams) -> keras.KerasTensor:
    """The mean and the standard deviation of each feature map, weighted by an attention that is learned; dropout acts on these.

    The weight of a cell is the softmax, over all cells of a clip, of v · tanh(W h + b) for its channels h.
    Source: Okabe, Koshinaka and Shinoda, "Attentive Statistics Pooling for Deep Speaker Embedding", Interspeech 2018, there
    over time alone.

    Args:
        maps: [batch, frames, bins, channels]
        params: `dropout`, `l2`.

    Returns:
        float32 [batch, 2 * channels]
    """
    cells = _cells(maps)
    dense, penalty = keras.layers.Dense, kernel_penalty(params)
    hidden = dense(
        max(1, maps.shape[-1] // 2),
        activation="tanh",
        kernel_regularizer=penalty,
        dtype="float32",
        name="attention_hidden",
    )(cells)
    # A bias of all cells would not change the softmax.
    energies = dense(1, use_bias=False, kernel_regularizer=penalty, dtype="float32", name="attention_energy")(hidden)
    weights = keras.layers.Softmax(axis=1, dtype="float32", name="attention")(energies)
    mean = ops.sum(weights * cells, axis=1, keepdims=True)
    variance = ops.sum(weights * ops.square(cells - mean), axis=1)
    return _mean_and_deviation(ops.squeeze(mean, axis=1), variance, params)


POOLINGS: Final[Mapping[str, Callable[[keras.KerasTensor, TrainParams], keras.KerasTensor]]] = {
    "average": average_pooling,
    "statistics": statistics_pooling,
    "attention": attention_pooling,
}


def network_of(inputs: keras.KerasTensor, maps: keras.KerasTensor, params: TrainParams) -> keras.Model:
    """The network from its input to the logit of its last feature maps.

    Args:
        inputs: float32 [batch, frames, bins], the input in dB.
        maps: [batch, frames, bins, channels], computed from it.
        params: `pooling`, `dropout`, `l2`, and whether the loss needs a cosine.

    Raises:
        ParamsError: There is no such pooling.
    """
    vector = choose(POOLINGS, "train.pooling", params.pooling)(maps, params)
    if params.cosine_logit:
        logit = _cosine(vector, params)
    else:
        logit = keras.layers.Dense(1, kernel_regularizer=kernel_penalty(params), dtype="float32", name="logit")(vector)
    network = keras.Model(inputs, logit, name="bonafide")
    operations = [operation for operation in network.operations if not isinstance(operation, keras.layers.Layer)]
    for number, operation in enumerate(operations, 1):
        # Keras counts the operations of a process, so the file of a network would depend on those before it. No layer may have
        # a name that Keras gives to one of them, such as "add_1".
        operation.name = f"operation_{number}"
    return network


def _cosine(vector: keras.KerasTensor, params: TrainParams) -> keras.KerasTensor:
    """The cosine of the angle between a linear embedding of the vector and one learned direction, in [-1, 1]."""
    layers = keras.layers
    # Pooled activations are 0 or more; an embedding may lie on either side of the direction.
    embedding = layers.Dense(
        vector.shape[-1], kernel_regularizer=kernel_penalty(params), dtype="float32", name="embedding"
    )(vector)
    return layers.Dense(
        1,
        use_bias=False,
        kernel_initializer=keras.initializers.Orthogonal(),  # of one column: length 1
        kernel_constraint=keras.constraints.UnitNorm(axis=0),
        dtype="float32",
        name="logit",
    )(layers.UnitNormalization(axis=-1, dtype="float32", name="direction")(embedding))


def _cells(maps: keras.KerasTensor) -> keras.KerasTensor:
    """The cells of time and frequency in a row: float32 [batch, frames * bins, channels]."""
    return keras.layers.Reshape((-1, maps.shape[-1]), dtype="float32", name="cells")(maps)


def _mean_and_deviation(mean: keras.KerasTensor, variance: keras.KerasTensor, params: TrainParams) -> keras.KerasTensor:
    deviation = ops.sqrt(variance + _SMALLEST_VARIANCE)
    vector = keras.layers.Concatenate(dtype="float32", name="statistics")([mean, deviation])
    return keras.layers.Dropout(params.dropout, dtype="float32", name="dropout")(vector)
