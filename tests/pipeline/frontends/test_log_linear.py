"""The front end `log_linear`: librosa's values, whatever the parameters."""

import warnings

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from pydantic import ValidationError

from pipeline.frontends.log_linear import LogLinear, LogLinearParams
from tests.support.front_ends import (
    LOG_LINEAR,
    SHORT_WINDOW,
    librosa_framing,
    require_golden_values,
    spectrum_params,
    waveforms,
)


def by_librosa(waveform: npt.NDArray[np.float32], params: LogLinearParams) -> npt.NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about short clips
        spectrum = librosa.stft(waveform.astype(np.float64), **librosa_framing(params))
    frequencies = librosa.fft_frequencies(sr=params.sample_rate, n_fft=params.n_fft)
    # librosa's frequencies are rounded otherwise in the last digit.
    kept = (frequencies >= params.f_min * (1 - 1e-12)) & (frequencies <= params.f_max * (1 + 1e-12))
    amin = 10.0 ** (params.floor_db / 10.0)
    return np.asarray(librosa.power_to_db(np.abs(spectrum[kept]) ** 2, ref=1.0, amin=amin, top_db=None).T)


@given(params=spectrum_params(LOG_LINEAR), waveform=waveforms())
@settings(max_examples=100)
def test_agrees_with_librosa_for_any_parameters_and_any_signal(
    params: LogLinearParams, waveform: npt.NDArray[np.float32]
) -> None:
    assume(params.n_bins > 0)  # reading the parameters refuses a band without a bin
    hz = np.arange(1 + params.n_fft // 2) * params.sample_rate / params.n_fft
    for bound in (params.f_min, params.f_max):
        assume(not np.any((hz != bound) & np.isclose(hz, bound, rtol=1e-11, atol=0.0)))
    own, reference = LogLinear(params)(waveform), by_librosa(waveform, params)
    assert own.shape == reference.shape == (LogLinear(params).n_frames(len(waveform)), params.n_bins)
    assert own.dtype == np.float32
    assert np.abs(own - reference).max() < 0.002
    assert own.min() >= params.floor_db


@pytest.mark.parametrize(
    ("f_min", "f_max", "lowest", "highest", "n_bins"),
    [
        (125.0, 7000.0, 125.0, 7000.0, 56),
        (124.9, 7000.1, 125.0, 7000.0, 56),
        (125.1, 6999.9, 250.0, 6875.0, 54),
        (0.0, 8000.0, 0.0, 8000.0, 65),
    ],
)
def test_the_bins_from_f_min_to_f_max_are_kept_both_included(
    f_min: float, f_max: float, lowest: float, highest: float, n_bins: int
) -> None:
    front_end = LogLinear(SHORT_WINDOW.model_copy(update={"f_min": f_min, "f_max": f_max}))
    frequencies = front_end.bin_axis().values
    assert (frequencies[0], frequencies[-1], len(frequencies), front_end.n_bins) == (lowest, highest, n_bins, n_bins)
    assert front_end(np.zeros(4000, np.float32)).shape == (101, n_bins)


def test_a_band_without_a_bin_is_refused() -> None:
    changed = {**LOG_LINEAR.model_dump(), "n_fft": 400, "f_min": 41.0, "f_max": 79.0}
    with pytest.raises(
        ValidationError, match=r"no FFT bin lies between f_min 41.0 and f_max 79.0: bins are 40 Hz apart"
    ):
        LogLinearParams.model_validate(changed)


def test_a_full_scale_tone_has_the_power_of_the_window() -> None:
    # |FFT| of a tone of amplitude 1 on a bin is half the sum of the window, here 400 / 2 / 2.
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    values = LogLinear(LOG_LINEAR)(tone)
    assert values[50].max() == pytest.approx(20 * np.log10(100), abs=0.01)


@pytest.mark.parametrize("params", [LOG_LINEAR, SHORT_WINDOW], ids=["25 ms", "5 ms"])
def test_values_of_this_version_are_those_of_the_golden_file(params: LogLinearParams) -> None:
    require_golden_values(LogLinear(params), "log_linear" if params is LOG_LINEAR else "log_linear_short")
