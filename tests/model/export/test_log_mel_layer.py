from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from model.export.log_mel_layer import LogMel
from pipeline.frontends import log_mel as spectrogram
from pipeline.params import FeatureParams, Params, load_params

TOLERANCE_DB = 0.01


@pytest.fixture(scope="module")
def features(repository: Path) -> FeatureParams:
    params: Params = load_params(repository / "params.yaml")
    return params.features


def difference(waveform: np.ndarray, params: FeatureParams) -> float:
    ours = LogMel(params)(waveform[None]).numpy()[0]
    theirs = spectrogram.LogMel(params)(waveform)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max())


@pytest.mark.parametrize("kind", ["noise", "tone", "click", "silence", "one sample"])
def test_it_agrees_with_the_pipeline(features: FeatureParams, kind: str) -> None:
    seconds = np.arange(16000) / 16000
    waveform = {
        "noise": np.random.default_rng(1).uniform(-1, 1, 16000),
        # Quiet bins beside a loud one: what float32 would get wrong.
        "tone": np.sin(2 * np.pi * 1000 * seconds),
        "click": np.eye(1, 16000, 8000)[0],
        "silence": np.zeros(16000),
        "one sample": np.ones(1),
    }[kind].astype(np.float32)

    assert difference(waveform, features) < TOLERANCE_DB


def test_it_agrees_with_the_pipeline_on_speech(features: FeatureParams, sample_corpus: Path) -> None:
    clips = sorted(sample_corpus.rglob("*.flac"))[:5]
    if not clips:
        pytest.skip("no sample corpus")
    for clip in clips:
        assert difference(soundfile.read(clip, dtype="float32")[0], features) < TOLERANCE_DB


@settings(deadline=None, max_examples=15)
@given(
    n_fft=st.sampled_from([256, 400, 513]),
    hop_length=st.sampled_from([80, 160, 250]),
    n_mels=st.sampled_from([12, 40]),
    n_samples=st.integers(1, 3000),
)
def test_it_agrees_whatever_the_parameters(n_fft: int, hop_length: int, n_mels: int, n_samples: int) -> None:
    params = FeatureParams(
        sample_rate=16000,
        n_fft=n_fft,
        win_length=250,
        hop_length=hop_length,
        n_mels=n_mels,
        f_min=50.0,
        f_max=7000.0,
        floor_db=-80.0,
        min_duration_s=0.0,
        silence_db=-200.0,
        max_reject_fraction=0.0,
    )

    assert (
        difference(np.random.default_rng(n_samples).uniform(-1, 1, n_samples).astype(np.float32), params) < TOLERANCE_DB
    )


def test_no_clip_changes_another_in_its_batch(features: FeatureParams) -> None:
    clips = np.random.default_rng(2).uniform(-1, 1, (3, 4000)).astype(np.float32)
    clips[1] *= 1e-3

    together = LogMel(features)(clips).numpy()

    for clip, spectrum in zip(clips, together, strict=True):
        assert np.allclose(LogMel(features)(clip[None])[0], spectrum, atol=1e-5)


def test_it_survives_saving_as_a_layer(features: FeatureParams) -> None:
    layer = LogMel(features, name="log_mel")

    restored = keras.layers.deserialize(keras.layers.serialize(layer))

    waveform = np.random.default_rng(3).uniform(-1, 1, (1, 5000)).astype(np.float32)
    assert np.array_equal(layer(waveform), restored(waveform))
    assert layer.compute_output_shape((None, 16000)) == (None, 101, 80)
