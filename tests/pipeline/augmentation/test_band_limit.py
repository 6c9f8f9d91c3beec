"""Limits of the band: frequencies inside pass, those outside are gone, and only what was drawn is told."""

import numpy as np
import pytest

from pipeline.augmentation.band_limit import BandLimit, BandLimitValues, limit_band
from pipeline.augmentation.base import Clip
from pipeline.augmentation.params import BandKind, BandLimitParams
from tests.support.speech import RATE, Waveform, noise, speechlike

KINDS: tuple[BandKind, ...] = ("low_pass", "telephone", "8_khz")
CLIP = Clip("LA_T_1", ())


def band_limit(probability: float = 1.0, kinds: tuple[BandKind, ...] = KINDS) -> BandLimit:
    return BandLimit(BandLimitParams(probability=probability, kinds=kinds, cutoff_hz=(3400.0, 7000.0)), RATE)


def level(waveform: Waveform, low_hz: float, high_hz: float) -> float:
    """Mean power of a band in dB."""
    powers = np.abs(np.fft.rfft(waveform)) ** 2
    low, high = (round(edge * len(waveform) / RATE) for edge in (low_hz, high_hz))
    return float(10.0 * np.log10(powers[low:high].mean()))


@pytest.mark.parametrize(
    ("values", "inside", "outside"),
    [
        (BandLimitValues("low_pass", 5000.0), [(100.0, 4700.0)], [(5300.0, 7900.0)]),
        (BandLimitValues("telephone"), [(450.0, 3250.0)], [(20.0, 150.0), (3600.0, 7900.0)]),
        (BandLimitValues("8_khz"), [(50.0, 3600.0)], [(4100.0, 7900.0)]),
    ],
)
def test_inside_the_band_everything_stays_and_outside_nothing(
    values: BandLimitValues, inside: list[tuple[float, float]], outside: list[tuple[float, float]]
) -> None:
    clip = noise(4 * RATE)
    result = limit_band(clip, values, RATE)
    assert len(result) == len(clip)
    for band in inside:
        assert level(result, *band) == pytest.approx(level(clip, *band), abs=0.1)
    for band in outside:
        assert level(result, *band) < level(clip, *band) - 45.0


def test_cutoff_above_half_the_sample_rate_and_a_narrow_corpus_change_nothing() -> None:
    clip = speechlike()
    assert limit_band(clip, BandLimitValues("low_pass", 8000.0), RATE) is clip
    assert limit_band(clip, BandLimitValues("8_khz"), 8000) is clip


def test_drawn_values_are_told_and_the_cutoff_only_of_a_low_pass() -> None:
    drawn = [band_limit().draw(np.random.default_rng(seed), CLIP) for seed in range(200)]
    told = [values.to_dict()["band_limit"] for values in drawn if values is not None]
    assert len(told) == 200
    assert {entry["kind"] for entry in told} == set(KINDS)
    assert all(("cutoff_hz" in entry) == (entry["kind"] == "low_pass") for entry in told)
    assert all(3400.0 <= entry.get("cutoff_hz", 5000.0) <= 7000.0 for entry in told)
    assert band_limit(0.0).draw(np.random.default_rng(0), CLIP) is None
