"""Measuring what the job costs on this machine."""

from dataclasses import fields

import pytest

from pipeline.job.speed import measure_rates
from pipeline.params import load_params
from tests.support.synthetic_store import PARAMS_FILE


@pytest.mark.parametrize("n_copies", [0, 2])
def test_a_short_measurement_finds_that_everything_costs_something(n_copies: int) -> None:
    params = load_params(PARAMS_FILE)
    params = params.model_copy(update={"augment": params.augment.model_copy(update={"copies": n_copies})})
    rates = measure_rates(params, 0.5, 0.0)
    found = {field.name: getattr(rates, field.name) for field in fields(rates)}
    assert all(0 < found[name] < 1e12 for name in found if name != "command_clip_s"), found
    assert 0 <= rates.command_clip_s < 1
