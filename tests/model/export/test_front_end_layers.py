"""The Keras layers of the front ends compute what the pipeline computes."""

from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from model.export.front_end_layers import front_end_layer
from pipeline.frontends import FeatureParams, make_front_end
from tests.support.front_ends import AT_LEVEL, CQT, EVERY_KIND, LFCC, LOG_LINEAR, LOG_MEL, SHORT_WINDOW

TOLERANCE_DB = 0.01

_KINDS = {**EVERY_KIND, **AT_LEVEL}
every_kind = pytest.mark.parametrize("params", _KINDS.values(), ids=_KINDS)


def difference(waveform: np.ndarray, params: FeatureParams) -> float:
    ours = front_end_layer(params)(waveform[None]).numpy()[0]
    theirs = make_front_end(params)(waveform)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max())


@every_kind
@pytest.mark.parametrize("kind", ["noise", "tone", "click", "silence", "one sample"])
def test_it_agrees_with_the_pipeline(params: FeatureParams, kind: str) -> None:
    seconds = np.arange(16000) / 16000
    waveform = {
        "noise": np.random.default_rng(1).uniform(-1, 1, 16000),
        # Quiet bins beside a loud one: what float32 would get wrong.
        "tone": np.sin(2 * np.pi * 1000 * seconds),
        "click": np.eye(1, 16000, 8000)[0],
        "silence": np.zeros(16000),
        "one sample": np.ones(1),
    }[kind].astype(np.float32)

    assert difference(waveform, params) < TOLERANCE_DB


@every_kind
def test_it_agrees_with_the_pipeline_on_speech(params: FeatureParams, sample_corpus: Path) -> None:
    clips = sorted(sample_corpus.rglob("*.flac"))[:5]
    if not clips:
        pytest.skip("no sample corpus")
    for clip in clips:
        assert difference(soundfile.read(clip, dtype="float32")[0], params) < TOLERANCE_DB


@settings(deadline=None, max_examples=15)
@given(
    n_fft=st.sampled_from([256, 400, 514]),
    hop_length=st.sampled_from([80, 160, 250]),
    n_mels=st.sampled_from([12, 40, None]),
    n_samples=st.integers(1, 3000),
)
def test_it_agrees_whatever_the_parameters(n_fft: int, hop_length: int, n_mels: int | None, n_samples: int) -> None:
    base = LOG_LINEAR if n_mels is None else LOG_MEL.model_copy(update={"n_mels": n_mels})
    framing = {"n_fft": n_fft, "win_length": 250, "hop_length": hop_length}
    params = base.model_copy(update={**framing, "f_min": 50.0, "f_max": 7000.0, "floor_db": -80.0})

    assert (
        difference(np.random.default_rng(n_samples).uniform(-1, 1, n_samples).astype(np.float32), params) < TOLERANCE_DB
    )


@pytest.mark.parametrize(
    ("n_fft", "win_length", "hop_length"), [(128, 80, 40), (512, 400, 160), (1024, 1024, 256), (2048, 1000, 500)]
)
@pytest.mark.parametrize(
    "base",
    [LOG_MEL.model_copy(update={"n_mels": 40}), SHORT_WINDOW, LFCC],
    ids=lambda params: params.kind,
)
def test_it_agrees_for_short_and_long_windows(
    base: FeatureParams, n_fft: int, win_length: int, hop_length: int, sample_corpus: Path
) -> None:
    window = {"n_fft": n_fft, "win_length": win_length, "hop_length": hop_length, "level_dbfs": -26.0}
    params = base.model_copy(update={**window, "f_min": 125.0, "f_max": 7000.0})
    clip = min(sample_corpus.rglob("*.flac"))

    assert difference(soundfile.read(clip, dtype="float32")[0], params) < TOLERANCE_DB


@pytest.mark.parametrize(
    ("f_min", "bins_per_octave", "hop_length"), [(62.5, 24, 64), (300.0, 5, 200), (125.0, 12, 160)]
)
def test_the_constant_q_layer_agrees_whatever_the_filters(
    f_min: float, bins_per_octave: int, hop_length: int, sample_corpus: Path
) -> None:
    params = CQT.model_copy(update={"f_min": f_min, "bins_per_octave": bins_per_octave, "hop_length": hop_length})
    clip = min(sample_corpus.rglob("*.flac"))

    assert difference(soundfile.read(clip, dtype="float32")[0], params) < TOLERANCE_DB


@every_kind
@pytest.mark.parametrize("change_db", [-20.0, 20.0])
def test_at_a_level_the_loudness_of_a_recording_makes_no_difference(params: FeatureParams, change_db: float) -> None:
    clip = 0.05 * np.random.default_rng(4).standard_normal((1, 9000)).astype(np.float32)
    layer = front_end_layer(params.model_copy(update={"level_dbfs": -26.0}))

    changed = layer(clip * np.float32(10.0 ** (change_db / 20.0)))

    assert np.allclose(layer(clip), changed, atol=2e-3)


@every_kind
def test_no_clip_changes_another_in_its_batch(params: FeatureParams) -> None:
    clips = np.random.default_rng(2).uniform(-1, 1, (3, 4000)).astype(np.float32)
    clips[1] *= 1e-3

    together = front_end_layer(params)(clips).numpy()

    for clip, spectrum in zip(clips, together, strict=True):
        assert np.allclose(front_end_layer(params)(clip[None])[0], spectrum, atol=1e-5)


@every_kind
def test_it_survives_saving_as_a_layer(params: FeatureParams) -> None:
    layer = front_end_layer(params, name="front_end")

    restored = keras.layers.deserialize(keras.layers.serialize(layer))

    waveform = np.random.default_rng(3).uniform(-1, 1, (1, 5000)).astype(np.float32)
    assert np.array_equal(layer(waveform), restored(waveform))
    assert layer.compute_output_shape((None, 16000)) == (None, 101, params.n_bins)
    assert layer.compute_output_shape((1, None)) == (1, None, params.n_bins)
