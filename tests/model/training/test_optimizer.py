import numpy as np
import pytest

from model.params import TrainParams
from model.training.optimizer import make_optimizer, make_schedule


def rates(params: TrainParams, **changes: object) -> np.ndarray:
    changed = params.model_copy(update={"learning_rate": 0.1, **changes})
    schedule = make_schedule(changed)
    return np.array([float(schedule(step)) for step in range(changed.steps)])


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine_to_a_hundredth(train_params: TrainParams) -> None:
    found = rates(train_params, steps=101, warmup=0.2, schedule="cosine")

    assert found[:21] == pytest.approx(np.linspace(0.1 / 21, 0.1, 21), rel=1e-4)
    assert np.all(np.diff(found[20:]) < 0)
    assert found[60] == pytest.approx((0.1 + 0.001) / 2, rel=1e-3), "half of the way"
    assert found[-1] == pytest.approx(0.001, rel=1e-3)


def test_a_constant_rate_stays_after_its_warm_up(train_params: TrainParams) -> None:
    found = rates(train_params, steps=50, warmup=0.1, schedule="constant")

    assert np.all(np.diff(found[:6]) > 0)
    assert found[5:] == pytest.approx(np.full(45, 0.1))


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_without_a_warm_up_the_first_step_has_the_highest_rate(train_params: TrainParams, schedule: str) -> None:
    assert rates(train_params, steps=20, warmup=0.0, schedule=schedule)[0] == pytest.approx(0.1)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_shortest_trainings_have_a_rate(train_params: TrainParams, steps: int) -> None:
    for warmup in (0.0, 0.9):
        assert np.all(rates(train_params, steps=steps, warmup=warmup) > 0)


def test_the_gradient_is_clipped_by_the_norm_of_all_its_parts(train_params: TrainParams) -> None:
    assert make_optimizer(train_params.model_copy(update={"clip_norm": 5.0}), 1).global_clipnorm == 5.0
    assert make_optimizer(train_params.model_copy(update={"clip_norm": 0.0}), 1).global_clipnorm is None


def test_devices_clip_their_parts_so_that_the_sum_is_within_the_norm(train_params: TrainParams) -> None:
    assert make_optimizer(train_params.model_copy(update={"clip_norm": 5.0}), 2).global_clipnorm == 2.5
