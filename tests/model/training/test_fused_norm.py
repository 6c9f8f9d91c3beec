from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.networks import NETWORKS, build_network
from model.params import TrainParams
from model.training.devices import computing_in
from model.training.fused_norm import FusedBatchNormalization, with_fused_norm
from pipeline.store import Statistics

STATISTICS = Statistics(np.full(16, -50.0), np.full(16, 15.0), 1000)
VALUES = np.random.default_rng(0).normal(3, 2, (4, 6, 5, 8)).astype(np.float32)
TARGETS = np.random.default_rng(1).normal(size=VALUES.shape).astype(np.float32)


def step(layer: keras.layers.Layer) -> list[np.ndarray]:
    """Outputs of a step in training, and gradients of inputs, scale and offset."""
    inputs = tf.constant(VALUES)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        total = tf.reduce_sum(outputs * TARGETS)
    gradients = tape.gradient(total, [inputs, layer.gamma.value, layer.beta.value])
    return [np.asarray(value) for value in (outputs, *gradients)]


def pair(**options: Any) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    layers = keras.layers.BatchNormalization(**options), FusedBatchNormalization(**options)
    for layer in layers:
        layer.build(VALUES.shape)
        layer.gamma.assign(np.linspace(0.5, 2, 8))
        layer.beta.assign(np.linspace(-1, 1, 8))
    return layers


def test_it_computes_what_the_layer_of_keras_does() -> None:
    standard, fused = pair(momentum=0.9)

    for expected, found in zip(step(standard), step(fused), strict=True):
        assert np.allclose(found, expected, atol=1e-4)
    assert np.allclose(fused.moving_mean, standard.moving_mean, atol=1e-5)
    assert np.allclose(fused.moving_variance, standard.moving_variance, atol=1e-5)


def test_inference_normalises_by_the_moving_statistics() -> None:
    standard, fused = pair()
    fused.moving_mean.assign(np.full(8, 2.0))
    standard.moving_mean.assign(np.full(8, 2.0))

    assert np.array_equal(fused(VALUES, training=False), standard(VALUES, training=False))


def test_a_frozen_layer_keeps_its_statistics() -> None:
    _, fused = pair()
    fused.trainable = False

    fused(VALUES, training=True)

    assert np.array_equal(fused.moving_mean, np.zeros(8))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_and_its_copy_take_each_other_s_weights(train_params: TrainParams, name: str) -> None:
    params = train_params.model_copy(update={"network": name})
    network, other = (build_network(50, STATISTICS, params) for _ in range(2))
    copy = with_fused_norm(network)
    values = np.random.default_rng(2).normal(-50, 15, (3, 50, 16)).astype(np.float32)

    assert {FusedBatchNormalization} == {type(layer) for layer in copy.layers if layer.name.startswith("norm")} - {
        keras.layers.Normalization
    }
    assert [layer.name for layer in copy.layers[1:]] == [layer.name for layer in network.layers[1:]]
    assert np.array_equal(copy(values), network(values))
    copy(values, training=True)
    other.set_weights(copy.get_weights())
    assert np.array_equal(other(values), copy(values))


def test_the_copy_has_the_precision_of_the_network(train_params: TrainParams) -> None:
    with computing_in("mixed_float16"):
        network = build_network(50, STATISTICS, train_params)
    copy = with_fused_norm(network)

    assert copy.get_layer("norm_1").compute_dtype == "float16"
    assert copy.get_layer("logit").compute_dtype == "float32"
