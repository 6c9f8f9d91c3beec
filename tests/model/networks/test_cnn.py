import keras
import numpy as np
import pytest

from model.networks import build_network
from model.params import TrainParams
from model.training.devices import computing_in
from pipeline.store import Statistics

STATISTICS = Statistics(np.linspace(-60, -20, 16), np.linspace(5, 15, 16), 1000)


@pytest.fixture(scope="module")
def params(train_params: TrainParams) -> TrainParams:
    return train_params.model_copy(update={"network": "cnn", "pooling": "average", "loss": "binary_crossentropy"})


@pytest.fixture(scope="module")
def network(params: TrainParams) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_network(50, STATISTICS, params)


def test_it_gives_one_logit_per_clip(network: keras.Model) -> None:
    spectrograms = np.random.default_rng(0).uniform(-100, 0, (200, 50, 16)).astype(np.float32)

    logits = network(spectrograms).numpy()

    assert logits.shape == (200, 1)
    assert logits.dtype == np.float32
    assert network.get_layer("logit").activation is keras.activations.linear, "no sigmoid inside"


def test_it_is_made_of_standard_layers_in_the_order_conv_pool_norm_relu(network: keras.Model) -> None:
    assert all(type(layer).__module__.startswith("keras.") for layer in network.layers)
    kinds = [type(layer).__name__ for layer in network.layers]
    block = ["Conv2D", "MaxPooling2D", "BatchNormalization", "ReLU"]
    assert kinds == [
        "InputLayer",
        "Normalization",
        "Reshape",
        *block,
        *block,
        "Dropout",
        "GlobalAveragePooling2D",
        "Dense",
    ]


def test_input_is_normalised_by_the_statistics_of_the_training_data(network: keras.Model) -> None:
    normalise = network.get_layer("normalise")
    mean, deviation = STATISTICS.mean.astype(np.float32), STATISTICS.deviation.astype(np.float32)

    assert np.allclose(normalise(mean[None, None]), 0, atol=1e-5)
    assert np.allclose(normalise((mean + 2 * deviation)[None, None]), 2, atol=1e-4)


def test_a_bin_that_never_varies_does_not_blow_up(params: TrainParams) -> None:
    still = Statistics(np.full(16, -100.0), np.zeros(16), 1000)

    assert np.isfinite(build_network(50, still, params)(np.full((1, 50, 16), -100.0))).all()


def test_initial_weights_follow_from_the_seed(network: keras.Model, params: TrainParams) -> None:
    keras.utils.set_random_seed(1)
    same = build_network(50, STATISTICS, params)
    keras.utils.set_random_seed(2)
    other = build_network(50, STATISTICS, params)

    assert all(np.array_equal(a, b) for a, b in zip(network.get_weights(), same.get_weights(), strict=True))
    assert not np.array_equal(network.get_layer("conv_1").kernel, other.get_layer("conv_1").kernel)


def test_a_short_axis_survives_many_blocks(params: TrainParams) -> None:
    deep = params.model_copy(update={"channels": (2,) * 8})

    assert build_network(10, STATISTICS, deep)(np.zeros((1, 10, 16))).shape == (1, 1)


def test_half_precision_keeps_logit_and_variables_in_float32(params: TrainParams) -> None:
    with computing_in("mixed_float16"):
        half = build_network(50, STATISTICS, params)

    assert half.get_layer("conv_2").compute_dtype == "float16"
    assert half.get_layer("logit").compute_dtype == "float32"
    assert {weight.dtype.__str__() for weight in half.trainable_variables} == {"float32"}
