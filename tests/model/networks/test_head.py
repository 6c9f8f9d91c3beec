import keras
import numpy as np
import pytest

from model.networks.head import POOLINGS
from model.params import TrainParams

MAPS = np.random.default_rng(3).gamma(1.0, 2.0, (4, 6, 5, 8)).astype(np.float32)


def pooling(name: str, params: TrainParams) -> keras.Model:
    inputs = keras.Input((6, 5, 8))
    return keras.Model(inputs, POOLINGS[name](inputs, params))


def test_the_average_is_that_of_all_cells(train_params: TrainParams) -> None:
    assert np.allclose(pooling("average", train_params)(MAPS), MAPS.mean(axis=(1, 2)), atol=1e-5)


def test_statistics_are_the_mean_and_the_deviation_of_all_cells(train_params: TrainParams) -> None:
    vector = pooling("statistics", train_params)(MAPS)

    assert np.allclose(vector[:, :8], MAPS.mean(axis=(1, 2)), atol=1e-4)
    assert np.allclose(vector[:, 8:], MAPS.std(axis=(1, 2)), atol=1e-4)


def test_attention_weighs_the_cells(train_params: TrainParams) -> None:
    model = pooling("attention", train_params)
    hidden, energy = model.get_layer("attention_hidden"), model.get_layer("attention_energy")
    cells = MAPS.reshape(4, 30, 8).astype(np.float64)
    energies = np.tanh(cells @ hidden.kernel.numpy() + hidden.bias.numpy()) @ energy.kernel.numpy()
    weights = np.exp(energies) / np.exp(energies).sum(axis=1, keepdims=True)
    mean = (weights * cells).sum(axis=1)
    deviation = np.sqrt((weights * (cells - mean[:, np.newaxis]) ** 2).sum(axis=1))

    assert np.allclose(model(MAPS), np.concatenate([mean, deviation], axis=1), atol=1e-4)


def test_attention_that_is_alike_everywhere_gives_the_statistics(train_params: TrainParams) -> None:
    model = pooling("attention", train_params)
    energy = model.get_layer("attention_energy")
    energy.kernel.assign(np.zeros(energy.kernel.shape))

    assert np.allclose(model(MAPS), pooling("statistics", train_params)(MAPS), atol=1e-4)


@pytest.mark.parametrize("name", POOLINGS)
def test_a_constant_map_has_a_finite_gradient(train_params: TrainParams, name: str) -> None:
    import tensorflow as tf

    maps, model = tf.zeros((2, 6, 5, 8)), pooling(name, train_params)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        total = tf.reduce_sum(model(maps))

    assert np.isfinite(tape.gradient(total, maps)).all()
