"""Rooms: the drawn reverberation time and direct-to-reverberant ratio are those of the response."""

import numpy as np
import pytest

from pipeline.augmentation.base import Clip
from pipeline.augmentation.params import RoomParams
from pipeline.augmentation.room import Room, RoomValues, impulse_response, reverberate
from tests.support.speech import RATE, noise, speechlike


@pytest.mark.parametrize("rt60_s", [0.1, 0.4, 1.0])
@pytest.mark.parametrize("ratio_db", [-5.0, 0.0, 12.0])
def test_response_has_the_drawn_ratio_and_decays_in_the_drawn_time(rt60_s: float, ratio_db: float) -> None:
    response = impulse_response(RoomValues(rt60_s, ratio_db, 7), RATE).astype(np.float64)
    energy = response**2
    assert energy.sum() == pytest.approx(1.0, abs=1e-4)
    assert 10.0 * np.log10(energy[0] / energy[1:].sum()) == pytest.approx(ratio_db, abs=0.01)
    assert response.argmax() == 0 or ratio_db < 0.0
    # Schroeder's backward integration, between -5 and -35 dB of the reverberation.
    decay_db = 10.0 * np.log10(np.cumsum(energy[:0:-1])[::-1] / energy[1:].sum())
    start, end = np.argmax(decay_db < -5.0), np.argmax(decay_db < -35.0)
    assert 2.0 * (end - start) / RATE == pytest.approx(rt60_s, rel=0.2)


def test_sound_in_a_room_keeps_its_length_place_and_level() -> None:
    clip = noise(4 * RATE, peak=0.5)
    result = reverberate(clip, RoomValues(0.3, 3.0, 1), RATE)
    assert len(result) == len(clip)
    assert 10.0 * np.log10(np.mean(result**2) / np.mean(clip**2)) == pytest.approx(0.0, abs=0.5)
    pulse = np.zeros(4000, np.float32)
    pulse[100] = 1.0
    ringing = reverberate(pulse, RoomValues(0.3, 10.0, 1), RATE)
    assert ringing.argmax() == 100
    np.testing.assert_allclose(ringing[:100], 0.0, atol=1e-6)


def test_seed_makes_the_room() -> None:
    first, again, other = (reverberate(speechlike(), RoomValues(0.4, 0.0, seed), RATE) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_values_are_drawn_from_their_ranges_and_told() -> None:
    params = RoomParams(probability=1.0, rt60_s=(0.2, 0.6), direct_to_reverberant_db=(-2.0, 8.0))
    drawn = [Room(params, RATE).draw(np.random.default_rng(seed), Clip("a", ())) for seed in range(300)]
    told = [values.to_dict()["room"] for values in drawn if values is not None]
    times, ratios = ([entry[name] for entry in told] for name in ("rt60_s", "direct_to_reverberant_db"))
    assert 0.2 <= min(times) < 0.21
    assert 0.59 < max(times) <= 0.6
    assert -2.0 <= min(ratios) < -1.8
    assert len({entry["seed"] for entry in told}) == 300
    never = params.model_copy(update={"probability": 0.0})
    assert Room(never, RATE).draw(np.random.default_rng(0), Clip("a", ())) is None
