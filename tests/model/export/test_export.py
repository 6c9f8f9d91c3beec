"""The exported models: what they take, what they give, and what describes them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest
import soundfile
import tensorflow as tf
from typer.testing import CliRunner

import bonafide
from model.bundle import Bundle, load_bundle
from model.errors import ModelError
from model.export.export import ExportResult, export
from model.export.measure import TOLERANCES
from model.export.onnx import refusal as onnx_refusal
from model.export.runtimes import LOADERS
from model.export.serving import Detector
from model.export.tflite import refusal as tflite_refusal
from model.metrics import AbstainBand, abstain_band
from model.networks import build_network
from model.scoring.scorer import ClipScorer
from pipeline.frontends import FeatureParams, make_front_end
from pipeline.store import Statistics
from tests.support.front_ends import AT_LEVEL, LOG_MEL
from tests.support.tone_store import tone
from tests.support.trained_model import Trained

INT8 = "bonafide_int8.tflite"
BAND = AbstainBand(-0.5, 0.5, 0.05, 0.1, 0.1)


def pipeline_score(bundle: Bundle, waveform: np.ndarray) -> float:
    """As `bonafide score` scores it."""
    features = make_front_end(bundle.features)(waveform).astype(np.float16)
    return float(bundle.calibration.apply(ClipScorer(bundle.network).logit(features, 4)))


def test_every_format_gives_the_score_of_the_pipeline_on_real_speech(export_result: ExportResult) -> None:
    assert set(export_result.measured) == {*TOLERANCES, INT8}
    assert export_result.reference is not None
    for name, tolerance in TOLERANCES.items():
        parity = export_result.measured[name].parity
        assert parity is not None
        # To a network of tones, speech is far from all that it knows: scores of up to 50.
        rounding = 1.0 if tolerance <= 1e-4 else np.abs(export_result.reference.scores).max()
        assert parity.max_difference <= tolerance * rounding, name
        assert parity.eer_change == pytest.approx(0.0, abs=0.1)
    quantised = export_result.measured[INT8].parity
    assert quantised is not None
    assert quantised.mean_difference < 0.2


@pytest.mark.parametrize("name", [*TOLERANCES, INT8])
def test_every_format_gives_score_probability_and_verdict(bundle: Bundle, exported: Path, name: str) -> None:
    run, band = (
        LOADERS[name](exported / name),
        abstain_band(bundle.development.bonafide, bundle.development.spoof, 0.05),
    )
    for clip in ("LA_E_0000000", "LA_E_0000001", "LA_E_0000007"):
        waveform = tone(clip, bona_fide=clip.endswith("0"))
        outputs = run(waveform)
        assert outputs["score"][0] == pytest.approx(pipeline_score(bundle, waveform), abs=TOLERANCES.get(name, 0.5))
        assert outputs["probability"][0] == pytest.approx(1 / (1 + np.exp(-outputs["score"][0])), abs=1e-5)
        assert outputs["verdict"][0] == band.verdicts(outputs["score"][0])
        assert outputs["verdict"].dtype == np.int32


def test_the_saved_model_takes_waveforms_and_spectrograms_in_batches(bundle: Bundle, exported: Path) -> None:
    signatures = tf.saved_model.load(str(exported / "saved_model")).signatures
    clips = 0.1 * np.random.default_rng(1).standard_normal((3, 20_000)).astype(np.float32)
    expected = [pipeline_score(bundle, clip) for clip in clips]
    features = np.stack([make_front_end(bundle.features)(clip) for clip in clips])

    assert set(signatures) == {"waveform", "spectrogram", "serving_default"}
    assert np.allclose(signatures["waveform"](waveform=tf.constant(clips))["score"], expected, atol=1e-4)
    assert np.allclose(signatures["spectrogram"](spectrogram=tf.constant(features))["score"], expected, atol=1e-4)


def test_the_onnx_model_takes_batches_and_tells_what_it_needs(bundle: Bundle, exported: Path) -> None:
    session = onnxruntime.InferenceSession(str(exported / "bonafide.onnx"), providers=["CPUExecutionProvider"])
    clips = 0.1 * np.random.default_rng(2).standard_normal((2, 12_000)).astype(np.float32)

    (scores,) = session.run(["score"], {"waveform": clips})

    assert np.allclose(scores, [pipeline_score(bundle, clip) for clip in clips], atol=1e-4)
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["sample_rate"] == str(bundle.features.sample_rate)
    assert float(metadata["threshold"]) == bundle.threshold
    assert float(metadata["uncertain_from"]) <= float(metadata["bona_fide_from"])


def test_the_tensorflow_lite_model_takes_batches(bundle: Bundle, exported: Path) -> None:
    interpreter = tf.lite.Interpreter(str(exported / "bonafide_float32.tflite"))
    clips = 0.1 * np.random.default_rng(3).standard_normal((2, 12_000)).astype(np.float32)
    scores = interpreter.get_signature_runner("waveform")(waveform=clips)["score"]
    assert np.allclose(scores, [pipeline_score(bundle, clip) for clip in clips], atol=1e-3)


@pytest.mark.parametrize("n_samples", [1, 79, 3_000, 40_000])
def test_clips_of_any_length_are_scored(bundle: Bundle, exported: Path, n_samples: int) -> None:
    waveform = 0.1 * np.random.default_rng(n_samples).standard_normal(n_samples).astype(np.float32)
    expected = pipeline_score(bundle, waveform)
    for name, tolerance in TOLERANCES.items():
        assert LOADERS[name](exported / name)(waveform)["score"][0] == pytest.approx(expected, abs=tolerance), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("params", "network", "pooling"),
    [
        (AT_LEVEL["log_mel at -26 dB"], "cnn", "average"),
        (AT_LEVEL["log_linear at -26 dB"], "lcnn", "attention"),
        (AT_LEVEL["lfcc at -26 dB"], "resnet", "statistics"),
        (AT_LEVEL["cqt at -26 dB"], "cnn", "attention"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_every_front_end_and_network_is_exported_in_every_format(
    bundle: Bundle, params: FeatureParams, network: str, pooling: str, tmp_path: Path, sample_corpus: Path
) -> None:
    n_bins = params.n_bins
    # Kernels of fewer than 1024 values are not quantised.
    train = bundle.train.model_copy(update={"network": network, "pooling": pooling, "channels": (16, 32)})
    built = build_network(50, Statistics(np.full(n_bins, -40.0), np.full(n_bins, 15.0), 1000), train)
    other = replace(bundle, features=params, network=built)
    sizes = {name: item.bytes for name, item in export(other, tmp_path / "models", 0.5, 0.05).measured.items()}
    assert sizes[INT8] < sizes["bonafide_float16.tflite"] < sizes["bonafide_float32.tflite"]
    clips = [soundfile.read(path, dtype="float32")[0] for path in sorted(sample_corpus.rglob("*.flac"))[:3]]
    expected = [pipeline_score(other, clip) for clip in clips]
    for name, tolerance in TOLERANCES.items():
        run = LOADERS[name](tmp_path / "models" / name)
        assert [run(clip)["score"][0] for clip in clips] == pytest.approx(expected, abs=tolerance), name


def test_a_front_end_that_a_format_cannot_compute_is_named_with_the_reason(bundle: Bundle, tmp_path: Path) -> None:
    odd = LOG_MEL.model_copy(update={"n_fft": 400})
    long = LOG_MEL.model_copy(update={"n_fft": 16384})

    assert tflite_refusal(odd) == "the FFT of TensorFlow Lite takes powers of two, and features.n_fft is 400"
    assert "features.n_fft 16384 the matrix in its place has 2,048 MiB" in str(onnx_refusal(long))
    assert (onnx_refusal(odd), tflite_refusal(long)) == (None, None)


def test_a_network_that_was_trained_in_half_precision_is_exported_in_float32(bundle: Bundle) -> None:
    n_bins = bundle.features.n_bins
    statistics = Statistics(np.full(n_bins, -40.0), np.full(n_bins, 15.0), 1000)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = build_network(50, statistics, bundle.train)
    finally:
        keras.config.set_dtype_policy("float32")
    waveform = tone("LA_E_0000001", bona_fide=True)
    half = replace(bundle, network=network)

    score = Detector(half, BAND, 0.5, "double").waveform(waveform[None])["score"]

    assert float(score[0]) == pytest.approx(pipeline_score(half, waveform), abs=0.05)
    same = build_network(50, statistics, bundle.train)
    same.set_weights(network.get_weights())
    assert float(score[0]) == pytest.approx(pipeline_score(replace(bundle, network=same), waveform), abs=1e-4)


def test_the_description_says_what_goes_in_and_what_comes_out(trained: Trained, exported: Path) -> None:
    description, bundle = json.loads((exported / "export.json").read_text()), load_bundle(trained.model)

    assert (description["input"]["dtype"], description["input"]["shape"]) == ("float32", [None, None])
    assert description["input"]["sample_rate"] == bundle.features.sample_rate
    assert description["outputs"]["score"]["meaning"] == "log-likelihood ratio for bona fide"
    assert description["outputs"]["verdict"]["meaning"] == "1 bona fide, 0 spoof, -1 uncertain"
    assert description["threshold"] == bundle.threshold
    assert description["store_fingerprint"] == bundle.store_fingerprint
    files = [path for path in exported.rglob("*") if path.is_file()]
    assert set(description["sha256"]) == {path.relative_to(exported).as_posix() for path in files} - {"export.json"}
    for name, sha256 in description["sha256"].items():
        assert sha256 == hashlib.sha256((exported / name).read_bytes()).hexdigest()


def test_twice_gives_the_same_bytes(tmp_path: Path, trained: Trained, exported: Path) -> None:
    output = tmp_path / "models"
    result = CliRunner().invoke(bonafide.app, ["export", "--model", str(trained.model), "--output", str(output)])
    assert result.exit_code == 0, result.output
    assert "saved_model" in result.output
    for path in (path for pattern in ("*.onnx", "*.tflite") for path in exported.glob(pattern)):
        assert (output / path.name).read_bytes() == path.read_bytes(), path.name
    # TensorFlow numbers the functions of a SavedModel by what the process has traced before.
    waveform = tone("LA_E_0000001", bona_fide=True)
    first, second = (LOADERS["saved_model"](folder / "saved_model")(waveform) for folder in (exported, output))
    assert first == second


def test_without_a_model_nothing_is_exported(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        bonafide.app, ["export", "--model", str(tmp_path), "--output", str(tmp_path / "export")]
    )
    assert isinstance(result.exception, ModelError)
    assert not (tmp_path / "export").exists()


def test_the_report_has_sizes_and_differences_as_metrics_and_the_latencies_as_details(
    exported: Path, export_result: ExportResult
) -> None:
    report = exported.parent / "report"
    metrics, details = (json.loads((report / name).read_text()) for name in ("metrics.json", "details.json"))

    assert set(metrics) == {name.replace(".", "_") for name in export_result.measured}
    assert metrics["bonafide_onnx"]["max_difference"] <= 1e-4
    assert details["clips"] == 20
    assert details["split"] == "eval"
    assert all(model["latency_ms"] > 0 for model in details["models"].values())
    assert (report / "model_card.md").read_text() == (exported / "README.md").read_text()


def test_an_export_does_not_replace_a_folder_of_other_files(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match=r"thesis\.tex"):
        export(bundle, tmp_path, 0.5, 0.05)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_committed_figures_keep_the_stated_differences(repository: Path) -> None:
    path = repository / "reports" / "export" / "metrics.json"
    if not path.exists():
        pytest.skip("no figures yet: `dvc repro` writes reports/export")
    metrics = json.loads(path.read_text())
    for name, tolerance in TOLERANCES.items():
        assert metrics[name.replace(".", "_")]["max_difference"] <= tolerance, name
    assert "eer_change" in metrics[INT8.replace(".", "_")]
