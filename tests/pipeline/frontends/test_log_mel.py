"""The front end `log_mel`: librosa's values, whatever the parameters."""

import warnings
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.decode import decode
from pipeline.frontends.log_mel import LogMel, LogMelParams, hz_to_mel, mel_filterbank, mel_to_hz
from tests.support.front_ends import LOG_MEL as PARAMS
from tests.support.front_ends import librosa_framing, require_golden_values, spectrum_params, waveforms

log_mel_params = spectrum_params(PARAMS, n_mels=st.integers(1, 100))


def by_librosa(waveform: npt.NDArray[np.float32], params: LogMelParams) -> npt.NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about short clips and empty filters
        powers = librosa.feature.melspectrogram(
            y=waveform,
            sr=params.sample_rate,
            **librosa_framing(params),
            power=2.0,
            n_mels=params.n_mels,
            fmin=params.f_min,
            fmax=params.f_max,
        )
    decibels = librosa.power_to_db(powers, ref=1.0, amin=10.0 ** (params.floor_db / 10.0), top_db=None)
    return np.asarray(decibels.T, dtype=np.float32)


def librosa_filterbank(params: LogMelParams) -> npt.NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about empty filters
        return librosa.filters.mel(
            sr=params.sample_rate, n_fft=params.n_fft, n_mels=params.n_mels, fmin=params.f_min, fmax=params.f_max
        )


@given(params=log_mel_params, waveform=waveforms())
@settings(max_examples=100, deadline=None)
def test_agrees_with_librosa_for_any_parameters_and_any_signal(
    params: LogMelParams, waveform: npt.NDArray[np.float32]
) -> None:
    own, reference = LogMel(params)(waveform), by_librosa(waveform, params)
    assert own.shape == reference.shape == (LogMel(params).n_frames(len(waveform)), params.n_mels)
    assert own.dtype == np.float32
    # Where a corner falls on an FFT bin, the only weight of a narrow band is 0 or 1e-15 by rounding.
    weights = librosa_filterbank(params).max(axis=1)
    assert np.abs(own - reference)[:, weights > 1e-9].max(initial=0.0) < 0.002
    # Weights that float32 rounds to zero.
    assert own[:, weights == 0.0].max(initial=-np.inf) < -100.0
    assert own.min() >= params.floor_db


@pytest.mark.shared_data
def test_agrees_with_librosa_on_speech(shared_data: Path) -> None:
    log_mel = LogMel(PARAMS)
    clips = sorted((shared_data / "minila" / "LA" / "ASVspoof2019_LA_dev" / "flac").iterdir())[::20]
    assert clips
    for clip in clips:
        waveform = decode(clip, PARAMS).waveform
        assert np.abs(log_mel(waveform) - by_librosa(waveform, PARAMS)).max() < 0.002, clip.name


@given(params=log_mel_params)
@settings(max_examples=50, deadline=None)
def test_filterbank_is_librosas(params: LogMelParams) -> None:
    np.testing.assert_allclose(mel_filterbank(params), librosa_filterbank(params), rtol=1e-5, atol=1e-9)


def test_mel_scale_and_its_inverse() -> None:
    assert [hz_to_mel(hz) for hz in (0.0, 1000.0, 6400.0)] == [0.0, 15.0, 42.0]
    frequencies = np.linspace(0.0, 8000.0, 101)
    np.testing.assert_allclose(hz_to_mel(frequencies[20]), librosa.hz_to_mel(frequencies[20]), rtol=1e-14)
    np.testing.assert_allclose([mel_to_hz(hz_to_mel(hz)) for hz in frequencies.tolist()], frequencies, atol=1e-9)


def test_values_of_this_version_are_those_of_the_golden_file() -> None:
    require_golden_values(LogMel(PARAMS), "log_mel")


def test_frequencies_are_the_peaks_of_the_triangles() -> None:
    filters = mel_filterbank(PARAMS.model_copy(update={"n_fft": 16384}))
    peaks = filters.argmax(axis=1) * 16000 / 16384
    np.testing.assert_allclose(LogMel(PARAMS).bin_axis().values, peaks, atol=1.0)


def test_zeros_beyond_the_ends_make_nothing_louder_than_the_clip() -> None:
    log_mel = LogMel(PARAMS)
    index = np.arange(16000)
    for waveform in (
        np.sin(0.3 * index),
        np.sign(np.sin(0.05 * index)),
        np.random.default_rng(0).uniform(-1.0, 1.0, 16000),
    ):
        values = log_mel(waveform.astype(np.float32))
        inside = values[3:-3].max()
        assert max(values[:3].max(), values[-3:].max()) <= inside + 0.5
        energy = 10.0 ** (values / 10.0) @ (1.0 / np.maximum(mel_filterbank(PARAMS).sum(axis=1), 1e-9))
        assert max(energy[:3].max(), energy[-3:].max()) <= energy[3:-3].max() * 1.05
