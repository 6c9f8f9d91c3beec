"""The front end: librosa's values, whatever the parameters, and the same bytes every time."""

import hashlib
import os
import subprocess
import sys
import warnings
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.decode import decode
from pipeline.frontends.log_mel import (
    FRONT_END_VERSION,
    LogMel,
    hz_to_mel,
    mel_filterbank,
    mel_to_hz,
    n_frames,
    padded_window,
)
from pipeline.params import FeatureParams, load_params

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / f"log_mel_v{FRONT_END_VERSION}.npy"

REPOSITORY = Path(__file__).resolve().parents[3]
PARAMS = load_params(REPOSITORY / "params.yaml").features


def synthetic(n_samples: int = 3200) -> npt.NDArray[np.float32]:
    """Reproducible to the bit anywhere: integer noise under a ramp, with a loud and a silent part."""
    index = np.arange(n_samples, dtype=np.int64)
    integers = index * index % 4093 * 7919 % 65521 - 32760
    envelope = index % 1600 - np.where(index > 2400, index % 1600, 0)
    return (integers * envelope / float(1 << 26)).astype(np.float32)


def by_librosa(waveform: npt.NDArray[np.float32], params: FeatureParams) -> npt.NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about short clips and empty filters
        powers = librosa.feature.melspectrogram(
            y=waveform,
            sr=params.sample_rate,
            n_fft=params.n_fft,
            hop_length=params.hop_length,
            win_length=params.win_length,
            window="hann",
            center=True,
            pad_mode="constant",
            power=2.0,
            n_mels=params.n_mels,
            fmin=params.f_min,
            fmax=params.f_max,
        )
    decibels = librosa.power_to_db(powers, ref=1.0, amin=10.0 ** (params.floor_db / 10.0), top_db=None)
    return np.asarray(decibels.T, dtype=np.float32)


@st.composite
def feature_params(draw: st.DrawFn) -> FeatureParams:
    rate = draw(st.sampled_from([4000, 8000, 11025, 16000, 44100, 48000]))
    n_fft = draw(st.integers(32, 1200))
    win_length = draw(st.integers(16, n_fft))
    f_max = draw(st.floats(50.0, rate / 2))
    return PARAMS.model_copy(
        update={
            "sample_rate": rate,
            "n_fft": n_fft,
            "win_length": win_length,
            "hop_length": draw(st.integers(max(1, win_length // 8), win_length)),
            "n_mels": draw(st.integers(1, 100)),
            "f_min": draw(st.floats(0.0, f_max * 0.9)),
            "f_max": f_max,
            "floor_db": draw(st.sampled_from([-200.0, -100.0, -60.0, 0.0])),
        }
    )


@st.composite
def waveforms(draw: st.DrawFn) -> npt.NDArray[np.float32]:
    n_samples = draw(st.integers(1, 6000))
    index = np.arange(n_samples)
    kind = draw(st.sampled_from(["noise", "tone", "click", "silence", "chirp"]))
    level = 10.0 ** draw(st.floats(-4.0, 0.0))
    values = {
        "noise": np.random.default_rng(n_samples).uniform(-1.0, 1.0, n_samples),
        "tone": np.sin(index * draw(st.floats(0.01, 3.0))),
        "click": (index == n_samples // 2).astype(float),
        "silence": np.zeros(n_samples),
        "chirp": np.sin(index**2 * 1e-4),
    }[kind]
    return (level * values).astype(np.float32)


@given(params=feature_params(), waveform=waveforms())
@settings(max_examples=100, deadline=None)
def test_agrees_with_librosa_for_any_parameters_and_any_signal(
    params: FeatureParams, waveform: npt.NDArray[np.float32]
) -> None:
    own, reference = LogMel(params)(waveform), by_librosa(waveform, params)
    assert own.shape == reference.shape == (n_frames(len(waveform), params), params.n_mels)
    assert own.dtype == np.float32
    assert np.abs(own - reference).max() < 0.002
    assert own.min() >= params.floor_db


@pytest.mark.shared_data
def test_agrees_with_librosa_on_speech(shared_data: Path) -> None:
    log_mel = LogMel(PARAMS)
    clips = sorted((shared_data / "minila" / "LA" / "ASVspoof2019_LA_dev" / "flac").iterdir())[::20]
    assert clips
    for clip in clips:
        waveform = decode(clip, PARAMS).waveform
        assert np.abs(log_mel(waveform) - by_librosa(waveform, PARAMS)).max() < 0.002, clip.name


@given(params=feature_params())
@settings(max_examples=50, deadline=None)
def test_filterbank_is_librosas(params: FeatureParams) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = librosa.filters.mel(
            sr=params.sample_rate, n_fft=params.n_fft, n_mels=params.n_mels, fmin=params.f_min, fmax=params.f_max
        )
    np.testing.assert_allclose(mel_filterbank(params), reference, rtol=1e-5, atol=1e-9)


def test_window_is_the_periodic_hann_window_in_the_middle_of_the_frame() -> None:
    window = padded_window(PARAMS)
    assert window.shape == (512,)
    assert not window[:56].any()
    assert not window[456:].any()
    np.testing.assert_allclose(window[56:456], librosa.filters.get_window("hann", 400), atol=1e-15)


def test_mel_scale_and_its_inverse() -> None:
    np.testing.assert_allclose(hz_to_mel([0.0, 1000.0, 6400.0]), [0.0, 15.0, 42.0], atol=1e-12)
    frequencies = np.linspace(0.0, 8000.0, 101)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(frequencies)), frequencies, atol=1e-9)


def test_values_of_this_version_are_those_of_the_golden_file() -> None:
    golden = np.load(GOLDEN)
    own = LogMel(PARAMS)(synthetic()).astype(np.float16)
    assert own.shape == golden.shape
    same_bytes = hashlib.sha256(own.tobytes()).digest() == hashlib.sha256(golden.tobytes()).digest()
    # On another family of CPU a few values may round to the neighbouring float16.
    steps = np.abs(own.astype(np.float32) - golden.astype(np.float32)) / np.abs(np.spacing(golden)).astype(np.float32)
    assert same_bytes or (steps.max() <= 1.0 and (steps > 0.0).mean() < 0.01), (
        f"the front end gives other values than version {FRONT_END_VERSION} did (up to {steps.max():g} float16 steps, "
        f"{(steps > 0.0).mean():.1%} of the values). If that is meant, raise pipeline.spectrogram.FRONT_END_VERSION, which makes "
        f"every older feature store stale, and save the new values as tests/pipeline/golden/log_mel_v<version>.npy"
    )


def test_frame_depends_on_its_own_samples_alone() -> None:
    waveform = synthetic(16000)
    log_mel = LogMel(PARAMS)
    whole = log_mel(waveform)
    louder_elsewhere = waveform.copy()
    louder_elsewhere[8000:] = 0.9
    # Frame t sees the samples from 160 t - 200 to 160 t + 200.
    assert np.array_equal(whole[:48], log_mel(louder_elsewhere)[:48])
    assert not np.array_equal(whole[50], log_mel(louder_elsewhere)[50])
    later = log_mel(waveform[1600:])
    assert np.array_equal(whole[12:], later[2:])


def test_bytes_do_not_depend_on_the_number_of_threads() -> None:
    program = (
        f"import hashlib, sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from tests.pipeline.frontends.test_log_mel import LogMel, PARAMS, synthetic\n"
        "print(hashlib.sha256(LogMel(PARAMS)(synthetic(100_000)).tobytes()).hexdigest())\n"
    )
    sums = set()
    for threads in ("1", "2"):
        variables = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), threads)
        run = subprocess.run(
            [sys.executable, "-c", program], env=os.environ | variables, capture_output=True, text=True, check=True
        )
        sums.add(run.stdout.strip())
    assert sums == {hashlib.sha256(LogMel(PARAMS)(synthetic(100_000)).tobytes()).hexdigest()}


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


def test_silence_lies_exactly_on_the_floor() -> None:
    for floor_db in (-100.0, -80.0, -33.3):
        values = LogMel(PARAMS.model_copy(update={"floor_db": floor_db}))(np.zeros(5000, np.float32))
        assert (values == np.float32(floor_db)).all()


def test_ten_times_louder_is_twenty_decibels_more() -> None:
    quiet = 0.05 * np.random.default_rng(3).uniform(-1.0, 1.0, 8000).astype(np.float32)
    log_mel = LogMel(PARAMS)
    np.testing.assert_allclose(log_mel(10.0 * quiet), log_mel(quiet) + 20.0, atol=1e-3)
