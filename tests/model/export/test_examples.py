"""The exported models run where neither TensorFlow nor this project is: an import of them is refused in these processes."""

from pathlib import Path

import pytest
import soundfile

from model.bundle import Bundle
from tests.model.export.test_export import pipeline_score
from tests.support.without_modules import run_without

TRAINING_SIDE = ("tensorflow", "tensorflow_io", "keras", "model", "pipeline", "bonafide", "apache_beam", "numba")
OURS = ("model", "pipeline", "bonafide")
EXAMPLES = {"score_with_onnxruntime.py": "bonafide.onnx", "score_with_litert.py": "bonafide_float32.tflite"}


@pytest.mark.parametrize(("script", "model"), EXAMPLES.items())
def test_an_example_goes_from_file_to_verdict_without_tensorflow(
    script: str, model: str, bundle: Bundle, exported: Path, repository: Path, sample_corpus: Path
) -> None:
    clip = min(sample_corpus.rglob("*.flac"))
    done = run_without(TRAINING_SIDE, repository / "examples" / script, str(exported / model), str(clip))

    assert done.returncode == 0, done.stderr
    verdict, score, probability = done.stdout.removeprefix(f"{clip}: ").strip().split(", ")
    assert verdict in ("bona fide", "spoof", "uncertain")
    expected = pipeline_score(bundle, soundfile.read(clip, dtype="float32")[0])
    assert float(score.removeprefix("score ")) == pytest.approx(expected, abs=2e-3)
    assert probability.endswith("%")


@pytest.mark.parametrize(("script", "model"), EXAMPLES.items())
def test_an_example_refuses_another_sample_rate(
    script: str, model: str, exported: Path, repository: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, [0.0] * 800, 8000)
    done = run_without(TRAINING_SIDE, repository / "examples" / script, str(exported / model), str(clip))
    assert done.returncode == 1
    assert "8000 Hz; resample it to 16000 Hz first" in done.stderr


def test_the_process_of_these_tests_refuses_what_it_should(tmp_path: Path) -> None:
    for name in ("tensorflow", "model.bundle"):
        script = tmp_path / "script.py"
        script.write_text(f"import {name}")
        assert f"refused: {name.partition('.')[0]}" in run_without(TRAINING_SIDE, script).stderr


def test_the_saved_model_loads_in_tensorflow_without_this_project(exported: Path, tmp_path: Path) -> None:
    script = tmp_path / "load.py"
    script.write_text(
        "import sys, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "outputs = model.signatures['waveform'](waveform=tf.zeros((1, 8000)))\n"
        "print(sorted(outputs), float(outputs['score'][0]))\n"
    )
    done = run_without(OURS, script, str(exported / "saved_model"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['probability', 'score', 'verdict']")
