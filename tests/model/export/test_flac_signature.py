"""The SavedModel that takes the bytes of a FLAC file, decoded by tensorflow-io."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf
import tensorflow_io  # noqa: F401, registers the decoder

from model.bundle import Bundle
from model.export.saved_model import write_flac_model
from model.export.serving import Detector
from model.metrics import AbstainBand
from tests.model.export.test_export import pipeline_score
from tests.support.tone_store import tone


@pytest.fixture(scope="module")
def model(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tf.types.experimental.PolymorphicFunction:
    folder = tmp_path_factory.mktemp("flac") / "saved_model_flac"
    detector = Detector(bundle, AbstainBand(-0.5, 0.5, 0.05, 0.1, 0.1), 0.5, "double")
    write_flac_model(detector, folder, bundle.features.sample_rate)
    return tf.saved_model.load(str(folder))


def flac(samples: np.ndarray, rate: int = 16000, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype=subtype)
    return file.getvalue()


def test_a_flac_file_gets_the_score_of_its_samples(bundle: Bundle, model: tf.Module) -> None:
    waveform = tone("LA_E_0000001", bona_fide=True)
    outputs = model.signatures["flac"](flac=tf.constant(flac(waveform)))
    assert float(outputs["score"][0]) == pytest.approx(pipeline_score(bundle, waveform), abs=1e-4)
    assert set(outputs) == {"score", "probability", "verdict"}


def test_a_clip_of_the_sample_corpus_gets_the_score_of_the_pipeline(
    bundle: Bundle, model: tf.Module, sample_corpus: Path
) -> None:
    clip = min(sample_corpus.rglob("*.flac"))
    outputs = model.signatures["flac"](flac=tf.constant(clip.read_bytes()))
    expected = pipeline_score(bundle, soundfile.read(clip, dtype="float32")[0])
    assert float(outputs["score"][0]) == pytest.approx(expected, abs=1e-4)


def test_channels_are_averaged(bundle: Bundle, model: tf.Module) -> None:
    waveform = tone("LA_E_0000002", bona_fide=False)
    stereo = np.stack([waveform, np.zeros_like(waveform)], axis=1)
    outputs = model.signatures["flac"](flac=tf.constant(flac(stereo)))
    assert float(outputs["score"][0]) == pytest.approx(pipeline_score(bundle, waveform / 2), abs=1e-2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (flac(np.zeros(800), rate=8000), "the sample rate is not 16000 Hz"),
        (flac(np.zeros(800), subtype="PCM_24"), "the samples do not have 16 bits"),
        (b"RIFF" + bytes(100), "not a FLAC file"),
    ],
)
def test_another_rate_width_or_format_is_refused(model: tf.Module, content: bytes, message: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        model.signatures["flac"](flac=tf.constant(content))
