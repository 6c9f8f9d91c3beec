"""The front end `lfcc`: the published definition, computed independently with scipy and librosa."""

import warnings

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.frontends.lfcc import Lfcc, LfccParams, dct_matrix, linear_filterbank
from pipeline.frontends.log_linear import LogLinear
from tests.support.front_ends import (
    LFCC,
    LOG_LINEAR,
    librosa_framing,
    require_golden_values,
    spectrum_params,
    synthetic,
    waveforms,
)

SHORT = LFCC.model_copy(update={"n_fft": 128, "win_length": 80, "hop_length": 40, "n_filters": 20})
LONG = LFCC.model_copy(update={"n_fft": 1024, "win_length": 1024, "hop_length": 256, "n_filters": 60})


def reference(waveform: npt.NDArray[np.float32], params: LfccParams) -> npt.NDArray[np.float64]:
    """Triangles by interpolation, cepstra by scipy, deltas by librosa's linear fit over five frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about short clips
        powers = np.abs(librosa.stft(waveform.astype(np.float64), **librosa_framing(params))) ** 2
    corners = np.linspace(params.f_min, params.f_max, params.n_filters + 2)
    bins = librosa.fft_frequencies(sr=params.sample_rate, n_fft=params.n_fft)
    filters = [
        np.interp(bins, corners[number : number + 3], [0.0, 1.0, 0.0], left=0.0, right=0.0)
        for number in range(params.n_filters)
    ]
    levels = 10.0 * np.log10(np.maximum(np.array(filters) @ powers, 10.0 ** (params.floor_db / 10.0)))
    parts = [scipy.fft.dct(levels, axis=0, norm="ortho")[: params.n_coefficients]]
    for _ in range(params.deltas):
        parts.append(librosa.feature.delta(parts[-1], width=5, mode="nearest"))
    return np.concatenate(parts).T


@given(
    params=spectrum_params(
        LFCC, n_filters=st.integers(2, 60), n_coefficients=st.integers(1, 60), deltas=st.sampled_from([0, 1, 2])
    ),
    waveform=waveforms(),
)
@settings(max_examples=100, deadline=None)
def test_agrees_with_the_definition_for_any_parameters_and_any_signal(
    params: LfccParams, waveform: npt.NDArray[np.float32]
) -> None:
    weights = linear_filterbank(params).max(axis=1)
    # Reading the parameters refuses empty filters. Of a weight near 0 the rounding of a corner is all there is.
    assume(params.n_coefficients <= params.n_filters and (weights > 1e-3).all())
    own, expected = Lfcc(params)(waveform), reference(waveform, params)
    assert own.shape == expected.shape == (Lfcc(params).n_frames(len(waveform)), params.n_bins)
    assert own.dtype == np.float32
    assert np.abs(own - expected).max() < 0.005


@pytest.mark.parametrize("params", [LFCC, SHORT, LONG], ids=["25 ms", "5 ms", "64 ms"])
def test_agrees_with_the_definition_for_short_and_long_windows(params: LfccParams) -> None:
    waveform = synthetic(16000)
    assert np.abs(Lfcc(params)(waveform) - reference(waveform, params)).max() < 0.002


@pytest.mark.parametrize("n_filters", [2, 20, 61])
def test_the_transform_is_scipys_orthonormal_dct(n_filters: int) -> None:
    values = np.random.default_rng(0).standard_normal((5, n_filters))
    np.testing.assert_allclose(
        values @ dct_matrix(n_filters, n_filters), scipy.fft.dct(values, axis=1, norm="ortho"), atol=1e-13
    )


def test_silence_gives_the_floor_in_the_first_coefficient_and_nothing_elsewhere() -> None:
    values = Lfcc(LFCC)(np.zeros(5000, np.float32))
    np.testing.assert_allclose(values[:, 0], -100.0 * 20**0.5, rtol=1e-6)
    np.testing.assert_allclose(values[:, 1:], 0.0, atol=1e-4)


def test_white_noise_has_its_mean_level_in_the_first_coefficient_alone() -> None:
    noise = np.random.default_rng(1).standard_normal(160_000).astype(np.float32)
    mean = Lfcc(LFCC)(noise)[3:-3].mean(axis=0)
    assert mean[0] > 80.0
    # Triangles hold about 0.5 dB more or less, by where their corners fall between FFT bins.
    assert np.abs(mean[1:16]).max() < 1.0
    assert np.abs(mean[16:]).max() < 0.05


def test_a_click_is_flat_over_frequency() -> None:
    click = np.zeros(3200, np.float32)
    click[1600] = 1.0
    flat = Lfcc(LFCC)(click)[10, :16]
    assert np.abs(flat[1:]).max() < 1.0 < abs(flat[0])


def test_coefficients_are_less_correlated_than_the_levels_that_they_come_from() -> None:
    rng = np.random.default_rng(2)
    # Noise whose level and slope over frequency change from clip to clip, as those of speech do.
    clips = [
        np.convolve(rng.standard_normal(1600), [1.0, rng.uniform(-0.9, 0.9)]).astype(np.float32)
        * rng.uniform(0.01, 0.5)
        for _ in range(200)
    ]

    def mean_correlation(values: list[npt.NDArray[np.float32]]) -> float:
        correlation = np.corrcoef(np.array(values), rowvar=False)
        return float(np.abs(correlation[~np.eye(len(correlation), dtype=bool)]).mean())

    cepstra = [Lfcc(LFCC)(clip)[5, :16] for clip in clips]
    levels = [LogLinear(LOG_LINEAR)(clip)[5, ::14] for clip in clips]
    assert mean_correlation(cepstra) < 0.5 * mean_correlation(levels)


def test_deltas_are_the_slope_per_frame() -> None:
    # 1 dB louder from frame to frame: the first coefficient rises by the root of the number of filters.
    samples = np.arange(32000)
    waveform = (np.random.default_rng(3).standard_normal(32000) * 10.0 ** ((samples / 160 - 200) / 20)).astype(
        np.float32
    )
    values = Lfcc(LFCC)(waveform)[100:-10]  # above the floor
    assert values[:, 16].mean() == pytest.approx(20**0.5, abs=0.1)
    assert values[:, 32].mean() == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(("deltas", "n_bins"), [(0, 16), (1, 32), (2, 48)])
def test_deltas_are_bins_of_their_own(deltas: int, n_bins: int) -> None:
    front_end = Lfcc(LFCC.model_copy(update={"deltas": deltas}))
    axis = front_end.bin_axis()
    assert (axis.title, front_end.n_bins, axis.values.tolist()) == ("coefficient", n_bins, list(range(n_bins)))
    assert front_end(np.zeros(3200, np.float32)).shape == (21, n_bins)


@pytest.mark.parametrize("n_filters", [20, 40, 512])
def test_float16_holds_the_first_coefficient_about_as_finely_as_a_level_in_decibels(n_filters: int) -> None:
    # Silence is the largest value: the floor of -100 dB times the root of the number of filters.
    largest = np.float16(100.0 * n_filters**0.5)
    assert np.isfinite(largest)
    assert np.spacing(largest) / n_filters**0.5 < 0.1 < 2 * np.spacing(np.float16(100.0))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_coefficients": 21}, r"n_coefficients 21 must not exceed n_filters 20"),
        (
            {"n_fft": 128, "win_length": 80, "hop_length": 40, "n_filters": 200},
            r"of the 200 filters .* hold no FFT bin",
        ),
        ({"deltas": 3}, r"deltas"),
    ],
)
def test_parameters_without_sense_are_refused(changed: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LfccParams.model_validate({**LFCC.model_dump(), **changed})


def test_values_of_this_version_are_those_of_the_golden_file() -> None:
    require_golden_values(Lfcc(LFCC), "lfcc")
