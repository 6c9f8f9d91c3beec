"""Exports a trained model: SavedModel, ONNX and TensorFlow Lite, a model card, and export.json, which describes them.

Every format holds the whole way from waveform to verdict, front end, calibration and thresholds included, and loads without this
project. What the formats cost and how far they are from the network goes to a report.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from model.artifacts import (
    EXPORT_CARD_FILE,
    EXPORT_DETAILS_FILE,
    EXPORT_FILE,
    EXPORT_METRICS_FILE,
    FLAC_MODEL_FOLDER,
    MODEL_CARD_FILE,
    ONNX_FILE,
    SAVED_MODEL_FOLDER,
    TFLITE_FILES,
)
from model.bundle import Bundle
from model.export import onnx, tflite
from model.export.card_inputs import corpus_facts, evaluation_facts
from model.export.clips import choose_clips
from model.export.measure import LATENCY_CLIP_S, Measured, Reference, measure, reference_scores
from model.export.model_card import CardInputs, model_card
from model.export.saved_model import write_flac_model, write_saved_model
from model.export.serving import VERDICTS, Detector
from model.metrics import AbstainBand, abstain_band
from pipeline.corpus.audio_files import audio_root
from pipeline.corpus.places import CorpusPath
from pipeline.files import atomic_write, replaced_folder, sha256_of, temporary_folder, write_json
from pipeline.machine import processor

CLIPS: Final = 200
"""Clips on which the models are compared with the network."""
_WRITTEN: Final = (
    EXPORT_FILE,
    MODEL_CARD_FILE,
    SAVED_MODEL_FOLDER,
    FLAC_MODEL_FOLDER,
    ONNX_FILE,
    *TFLITE_FILES.values(),
)
_VERSIONED: Final = ("keras", "numpy", "onnx", "onnxruntime", "tensorflow", "tf2onnx")


@dataclass(frozen=True)
class Corpus:
    """The corpus that the model was trained and evaluated on.

    Attributes:
        manifest: Table with the columns of `MANIFEST_SCHEMA`.
        path: Its folder, or its table.
    """

    manifest: pa.Table
    path: CorpusPath


@dataclass(frozen=True)
class ExportResult:
    """What was exported.

    Attributes:
        measured: Size, latency and parity of each model, by name.
        left_out: Formats that were not written, with the reason.
        reference: What the scores were compared with; None without clips.
    """

    measured: dict[str, Measured]
    left_out: dict[str, str]
    reference: Reference | None


def export(
    bundle: Bundle,
    output: Path,
    prior: float,
    abstain_error_rate: float,
    *,
    corpus: Corpus | None = None,
    evaluation: Path | None = None,
    report: Path | None = None,
    flac: bool = False,
    doing: Callable[[str], None] = lambda what: None,
) -> ExportResult:
    """Writes a bundle's model in every format that its front end allows, and the model card.

    Args:
        bundle: The trained model.
        output: Folder to write to. An earlier export stays until this one is whole, then goes.
        prior: Probability of bona fide, for the output `probability`.
        abstain_error_rate: Error rate per class on dev of the verdicts outside the uncertain band.
        corpus: For the parity of scores and for the card.
        evaluation: Folder of the evaluation of this model, for the card.
        report: Folder for what was measured, replaced likewise.
        flac: Also write a SavedModel that takes the bytes of a FLAC file; it needs tensorflow-io.
        doing: Told what is done next.

    Raises:
        ModelError: There is no evaluation in its folder.
        OSError: A folder holds files that are not an export's, or another process writes it.
    """
    facts = None if evaluation is None else evaluation_facts(evaluation)
    band = abstain_band(bundle.development.bonafide, bundle.development.spoof, abstain_error_rate)
    # The converters take names in UTF-8 alone, which the output's need not be.
    with replaced_folder(output, _WRITTEN) as folder, temporary_folder() as converted:
        description = _description(bundle, band, prior)
        with _without_native_log():
            written, left_out = _write_formats(bundle, band, prior, converted, description, flac, doing)
        doing("comparing them with the network")
        clips = None
        if corpus is not None:
            clips = choose_clips(corpus.manifest, audio_root(corpus.path), bundle.features, CLIPS)
        reference = None if clips is None else reference_scores(bundle, clips)
        measured = measure(converted, written, bundle, band, reference)
        shutil.copytree(converted, folder, dirs_exist_ok=True)
        known = None if corpus is None else corpus_facts(corpus.manifest, corpus.path)
        card = model_card(CardInputs(bundle, band, prior, measured, left_out, known, facts))
        atomic_write(folder / MODEL_CARD_FILE, card)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        sha256 = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
        write_json(folder / EXPORT_FILE, {**description, "left_out": left_out, "sha256": sha256})
    result = ExportResult(measured, left_out, reference)
    if report is not None:
        _write_report(result, card, report)
    return result


@contextlib.contextmanager
def _without_native_log() -> Iterator[None]:
    """Hides what the converters write to file descriptor 2; their errors are exceptions with the same text."""
    sys.stderr.flush()
    terminal = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


def _write_formats(
    bundle: Bundle,
    band: AbstainBand,
    prior: float,
    folder: Path,
    description: dict[str, Any],
    flac: bool,
    doing: Callable[[str], None],
) -> tuple[list[str], dict[str, str]]:
    """Writes the formats; gives the names of those that can be measured, and why others are left out."""
    written, left_out = [SAVED_MODEL_FOLDER], {}
    doing("SavedModel")
    detector = Detector(bundle, band, prior, "double")
    write_saved_model(detector, folder / SAVED_MODEL_FOLDER)
    if flac:
        write_flac_model(detector, folder / FLAC_MODEL_FOLDER, bundle.features.sample_rate)
    doing("ONNX")
    if reason := onnx.refusal(bundle.features):
        left_out["ONNX"] = reason
    else:
        metadata = {
            "sample_rate": str(bundle.features.sample_rate),
            "threshold": repr(bundle.threshold),
            "uncertain_from": repr(band.low),
            "bona_fide_from": repr(band.high),
            "verdicts": description["outputs"]["verdict"]["meaning"],
            "prior": repr(prior),
        }
        onnx.write_onnx(Detector(bundle, band, prior, "matrix"), folder / ONNX_FILE, metadata)
        written.append(ONNX_FILE)
    doing("TensorFlow Lite")
    if reason := tflite.refusal(bundle.features):
        left_out["TensorFlow Lite"] = reason
    else:
        tflite.write_tflite(Detector(bundle, band, prior, "single"), folder)
        written += TFLITE_FILES.values()
    return written, left_out


def _description(bundle: Bundle, band: AbstainBand, prior: float) -> dict[str, Any]:
    """The content of export.json, but for the files."""
    verdicts = ", ".join(f"{value} {name}" for value, name in VERDICTS.items())
    return {
        "input": {
            "name": "waveform",
            "dtype": "float32",
            "shape": [None, None],
            "range": [-1.0, 1.0],
            "sample_rate": bundle.features.sample_rate,
        },
        "outputs": {
            "score": {"dtype": "float32", "shape": [None], "meaning": "log-likelihood ratio for bona fide"},
            "probability": {"dtype": "float32", "shape": [None], "meaning": f"of bona fide, at a prior of {prior:g}"},
            "verdict": {"dtype": "int32", "shape": [None], "meaning": verdicts},
        },
        "threshold": bundle.threshold,
        "uncertain_band": {"low": band.low, "high": band.high, "error_rate": band.error_rate},
        "prior": prior,
        "front_end": bundle.features.model_dump(mode="json"),
        "store_fingerprint": bundle.store_fingerprint,
        "versions": {name: version(name) for name in _VERSIONED},
    }


def _write_report(result: ExportResult, card: str, report: Path) -> None:
    """Writes metrics.json, scalars that do not depend on the machine's speed; details.json; and the model card."""
    metrics: dict[str, Any] = {}
    for name, item in result.measured.items():
        # DVC takes a dot in a name for a step into the file.
        scalars = metrics.setdefault(name.replace(".", "_"), {"mib": round(item.bytes / 2**20, 3)})
        if item.parity is not None:
            scalars |= {"max_difference": item.parity.max_difference, "eer_change": item.parity.eer_change}
    details = {
        "clips": None if result.reference is None else len(result.reference.scores),
        "split": None if result.reference is None else result.reference.clips.split,
        "eer": None if result.reference is None else result.reference.eer,
        "latency_clip_s": LATENCY_CLIP_S,
        "processor": processor(),
        "models": {name: item.as_dict() for name, item in result.measured.items()},
        "left_out": result.left_out,
    }
    with replaced_folder(report, (EXPORT_METRICS_FILE, EXPORT_DETAILS_FILE, EXPORT_CARD_FILE)) as folder:
        write_json(folder / EXPORT_METRICS_FILE, metrics)
        write_json(folder / EXPORT_DETAILS_FILE, details)
        atomic_write(folder / EXPORT_CARD_FILE, card)
