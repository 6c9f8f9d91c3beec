"""Compiled loops: the values of numpy and of the `math` module, from operations that every processor rounds alike."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.fourier import plan
from pipeline.audio.frame_spectra import add_energy
from pipeline.audio.kernels import (
    cell_energies,
    decibels,
    mean_of_channels,
    peak,
    percentile,
    total,
    windowed_frames,
)
from pipeline.audio.windows import hann
from tests.support.speech import noise

normal_powers = st.floats(2.2250738585072014e-308, 1.7976931348623157e308)


@given(power=normal_powers)
@settings(max_examples=1000, deadline=None)
def test_decibels_are_ten_times_the_logarithm(power: float) -> None:
    assert decibels(power, -4000.0) == pytest.approx(10.0 * math.log10(power), rel=2e-15, abs=1e-13)


@given(powers=st.lists(normal_powers, min_size=2, max_size=20))
@settings(deadline=None)
def test_decibels_of_more_power_are_never_less(powers: list[float]) -> None:
    values = [decibels(power, -4000.0) for power in sorted(powers)]
    assert values == sorted(values)


def test_decibels_around_powers_of_two_and_the_seam_of_the_mantissa() -> None:
    for exponent in range(-60, 61):
        for factor in (1.0, math.sqrt(0.5), math.nextafter(1.0, 0.0), math.nextafter(math.sqrt(0.5), 1.0)):
            power = math.ldexp(factor, exponent)
            assert decibels(power, -4000.0) == pytest.approx(10.0 * math.log10(power), rel=2e-15, abs=1e-13)
    assert decibels(1.0, -4000.0) == 0.0


@pytest.mark.parametrize("power", [0.0, 5e-324, 1e-310, 1e-20, 1e-10])
def test_decibels_end_at_the_floor(power: float) -> None:
    assert decibels(power, -99.5) == -99.5


@given(
    values=st.lists(st.floats(-200.0, 0.0), min_size=1, max_size=50),
    percent=st.one_of(st.floats(0.0, 100.0), st.sampled_from([0.0, 50.0, 95.0, 100.0])),
)
@settings(max_examples=300, deadline=None)
def test_percentile_is_numpys(values: list[float], percent: float) -> None:
    assert percentile(np.array(values), percent) == pytest.approx(np.percentile(values, percent), rel=1e-12, abs=1e-12)


@given(n_samples=st.integers(1, 3000), cell_length=st.integers(1, 100), offset=st.floats(-0.5, 0.5))
@settings(max_examples=200, deadline=None)
def test_cells_hold_the_energy_of_their_samples(n_samples: int, cell_length: int, offset: float) -> None:
    waveform = noise(n_samples)
    energies = np.zeros(max(1, n_samples // cell_length))
    cell_energies(waveform, offset, cell_length, energies)
    ends = [*(cell_length * np.arange(1, len(energies))), n_samples]
    for number, (energy, end) in enumerate(zip(energies, ends, strict=True)):
        assert energy == pytest.approx(
            math.fsum((float(x) - offset) ** 2 for x in waveform[number * cell_length : end]), rel=1e-13
        )
    assert total(energies) == pytest.approx(math.fsum(energies), rel=1e-13)


@given(
    n_samples=st.integers(1, 300),
    hop_length=st.integers(1, 40),
    first_sample=st.integers(-80, 320),
    length=st.integers(1, 60),
)
@settings(max_examples=200, deadline=None)
def test_frames_are_those_of_a_signal_with_zeros_around_it(
    n_samples: int, hop_length: int, first_sample: int, length: int
) -> None:
    signal, window = noise(n_samples), hann(length)
    frames = np.full((7, length), np.nan)
    windowed_frames(signal, window, hop_length, first_sample, frames)
    padded = np.concatenate([np.zeros(80, np.float32), signal, np.zeros(1000, np.float32)])
    for row, frame in enumerate(frames):
        start = 80 + first_sample + row * hop_length
        assert np.array_equal(frame, padded[start : start + length] * window)


@pytest.mark.parametrize("n_samples", [64, 127, 64 * 8, 64 * 19 + 5])
def test_energy_is_the_sum_over_the_adjacent_frames_within_the_signal(n_samples: int) -> None:
    signal, window, energy = noise(n_samples), hann(64), np.zeros(33)
    frames = signal[: n_samples // 64 * 64].reshape(-1, 64) * window
    add_energy(signal, window, plan(64), energy)
    np.testing.assert_allclose(energy, (np.abs(np.fft.rfft(frames)) ** 2).sum(axis=0), rtol=1e-12, atol=1e-15)


@given(samples=st.lists(st.floats(width=32), min_size=1, max_size=70))
@settings(max_examples=300, deadline=None)
def test_peak_is_the_largest_absolute_value_and_tells_what_is_not_finite(samples: list[float]) -> None:
    values = np.array(samples, np.float32)
    if np.isfinite(values).all():
        assert peak(values) == np.abs(values).max()
    else:
        assert not np.isfinite(peak(values))


@pytest.mark.parametrize("n_channels", [2, 3, 8])
def test_channels_are_averaged_in_double_precision(n_channels: int) -> None:
    samples = np.stack([noise(500, seed=seed) for seed in range(n_channels)], axis=1)
    mono = np.empty(500, np.float32)
    mean_of_channels(samples, mono)
    np.testing.assert_allclose(mono, samples.mean(axis=1, dtype=np.float64), atol=1e-7)


@pytest.mark.parametrize("length", [1, 2, 3, 16, 80, 400, 511, 2048, 16384])
def test_hann_window_is_exact_to_the_last_digits(length: int) -> None:
    expected = [math.sin(math.pi * i / length) ** 2 for i in range(length)]
    np.testing.assert_allclose(hann(length), expected, rtol=4e-15, atol=1e-16)
    assert np.array_equal(hann(length)[1:], hann(length)[:0:-1])
