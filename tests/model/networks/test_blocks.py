"""What the blocks of `lcnn` and `resnet` compute."""

import keras
import numpy as np

from model.networks import build_network
from model.params import TrainParams
from pipeline.store import Statistics

STATISTICS = Statistics(np.full(16, -50.0), np.full(16, 15.0), 1000)
SPECTROGRAMS = np.random.default_rng(0).normal(-50, 15, (2, 50, 16)).astype(np.float32)


def outputs(network: keras.Model, *names: str) -> list[np.ndarray]:
    found = keras.Model(network.input, [network.get_layer(name).output for name in names])(SPECTROGRAMS)
    return [values.numpy() for values in found]


def test_a_max_feature_map_is_the_larger_of_two_maps(train_params: TrainParams) -> None:
    network = build_network(50, STATISTICS, train_params.model_copy(update={"network": "lcnn"}))

    for block in ("conv_1", "mix_2", "conv_2"):
        larger, first, second = outputs(network, f"max_{block}", f"{block}a", f"{block}b")

        assert np.array_equal(larger, np.maximum(first, second))
        assert not np.array_equal(larger, first)
        assert not np.array_equal(larger, second)


def test_excitation_scales_each_channel_by_a_factor_between_0_and_1(train_params: TrainParams) -> None:
    network = build_network(50, STATISTICS, train_params.model_copy(update={"network": "resnet"}))
    scaled, values, factors = outputs(network, "scale_1", "norm_1b", "factors_1")

    assert np.allclose(scaled, values * factors, atol=1e-6)
    assert factors.shape == (2, 1, 1, train_params.channels[0])
    assert 0 < factors.min() < factors.max() < 1
    assert not np.array_equal(factors[0], factors[1]), "it depends on the clip"


def test_a_residual_block_whose_change_is_suppressed_is_its_skip(train_params: TrainParams) -> None:
    network = build_network(50, STATISTICS, train_params.model_copy(update={"network": "resnet"}))
    for number in (1, 2):
        network.get_layer(f"excite_{number}b").bias.assign(np.full(train_params.channels[number - 1], -100.0))
    first, stem, second, skip = outputs(network, "relu_1", "relu_0", "relu_2", "norm_2skip")

    assert np.allclose(first, stem, atol=1e-6)
    assert np.allclose(second, np.maximum(skip, 0), atol=1e-6)
