import keras
import numpy as np
import pytest

from model.params import TrainParams
from model.training.averaging import AverageWeights


def network_of_one_value() -> keras.Model:
    network = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    return fill(network, 0.0)


def fill(network: keras.Model, value: float) -> keras.Model:
    network.set_weights([np.full_like(weight, value) for weight in network.get_weights()])
    return network


def after(average: AverageWeights, network: keras.Model, values: list[float]) -> list[float]:
    """The average after each of some steps that give all weights a value."""
    found = []
    for step, value in enumerate(values):
        fill(network, value)
        average.on_train_batch_end(step)
        weights = average.weights
        assert len(weights) == len(network.get_weights()) == 6, "the statistics of the batch normalisation too"
        assert len({float(part) for weight in weights for part in weight.ravel()}) == 1
        found.append(float(weights[0].ravel()[0]))
    return found


def test_weights_are_averaged_over_the_second_half_and_the_first_of_it_counts_whole(train_params: TrainParams) -> None:
    params = train_params.model_copy(update={"steps": 8, "weight_average": 0.5})
    network = network_of_one_value()

    found = after(AverageWeights(network, params), network, [1, 2, 3, 4, 5, 6, 7, 8])

    assert found == [1, 2, 3, 4, 5, 5.5, 6.25, 7.125]


def test_no_average_gives_the_weights_as_they_are(train_params: TrainParams) -> None:
    params = train_params.model_copy(update={"steps": 4, "weight_average": 0.0})
    network = network_of_one_value()

    assert after(AverageWeights(network, params), network, [1, 2, 3, 4]) == [1, 2, 3, 4]


def test_steps_at_once_count_as_one_value_that_held_for_all_of_them(train_params: TrainParams) -> None:
    params = train_params.model_copy(update={"steps": 8, "weight_average": 0.5, "steps_per_execution": 2})
    network = network_of_one_value()

    assert after(AverageWeights(network, params), network, [1, 2, 3, 4]) == pytest.approx([1, 2, 3, 3.75])


@pytest.mark.parametrize("done", [2, 4, 6])
def test_a_restored_average_goes_on_as_if_nothing_had_happened(train_params: TrainParams, done: int) -> None:
    params = train_params.model_copy(update={"steps": 8, "weight_average": 0.5})
    network = network_of_one_value()
    values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]
    whole = after(AverageWeights(network, params), network, values)
    first = AverageWeights(network, params)
    after(first, network, values[:done])

    second = AverageWeights(network, params)
    second.restore(first.weights, done)

    assert after(second, network, values[done:]) == whole[done:]
