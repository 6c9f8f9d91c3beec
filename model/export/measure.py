"""What the exported models cost and how far they are from the network: size, latency, difference of scores, change of the EER."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.artifacts import ONNX_FILE, SAVED_MODEL_FOLDER, TFLITE_FILES
from model.bundle import Bundle
from model.export.clips import Clips
from model.export.runtimes import LOADERS, Runner
from model.metrics import AbstainBand, det_curve
from model.metrics.rates import eer_of_curve
from model.scoring.scorer import ClipScorer
from pipeline.corpus.schema import BONA_FIDE
from pipeline.frontends import make_front_end

TOLERANCES: Final[Mapping[str, float]] = {
    SAVED_MODEL_FOLDER: 1e-4,
    ONNX_FILE: 1e-4,
    TFLITE_FILES["float32"]: 1e-3,
    TFLITE_FILES["float16"]: 1e-2,
}
"""Largest difference of a score that counts as the same model, in nats. That of int8 has no bound: its EER tells."""
LATENCY_CLIP_S: Final = 4.0
_WINDOWS_PER_BATCH: Final = 32
_RUNS: Final = 15


@dataclass(frozen=True)
class Parity:
    """How far a model is from the network on some clips.

    Attributes:
        max_difference: Largest difference of a score, in nats.
        mean_difference: Mean of the absolute differences.
        verdicts_changed: Number of clips whose verdict differs.
        eer: Of this model, in [0, 1].
        eer_change: Against that of the network.
    """

    max_difference: float
    mean_difference: float
    verdicts_changed: int
    eer: float
    eer_change: float


@dataclass(frozen=True)
class Measured:
    """One exported model.

    Attributes:
        bytes: Of the file, or of all files of the folder.
        load_ms: From the file to the first score.
        latency_ms: Of a clip of `LATENCY_CLIP_S` seconds, the median of some calls.
        parity: None without clips.
    """

    bytes: int
    load_ms: float
    latency_ms: float
    parity: Parity | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = asdict(self)
        return {**values, "parity": values["parity"] or {}}


@dataclass(frozen=True)
class Reference:
    """The scores of the network itself.

    Attributes:
        clips: Which clips.
        scores: float64 [n].
        eer: Their EER.
    """

    clips: Clips
    scores: npt.NDArray[np.float64]
    eer: float


def reference_scores(bundle: Bundle, clips: Clips) -> Reference:
    """Scores clips as `bonafide score` does: the pipeline's front end, rounded to float16, and the network in Keras.

    Raises:
        ModelError: A clip cannot be read.
    """
    front_end, scorer = make_front_end(bundle.features), ClipScorer(bundle.network)
    features = (front_end(waveform).astype(np.float16) for waveform in clips.waveforms(bundle.features))
    logits = np.array(list(scorer.each_logit(features, _WINDOWS_PER_BATCH)))
    scores = bundle.calibration.apply(logits)
    return Reference(clips, scores, _eer(scores, clips))


def measure(
    folder: Path, names: Sequence[str], bundle: Bundle, band: AbstainBand, reference: Reference | None
) -> dict[str, Measured]:
    """Measures exported models.

    Args:
        folder: Holds the models.
        names: Which, keys of `LOADERS`.
        bundle: What was exported.
        band: Of uncertain scores, which the models hold.
        reference: Scores to compare with; None for none.

    Raises:
        ModelError: A clip cannot be read.
    """
    rate = bundle.features.sample_rate
    noise = 0.05 * np.random.default_rng(1).standard_normal(round(LATENCY_CLIP_S * rate)).astype(np.float32)
    measured = {}
    for name in names:
        started = time.perf_counter()
        run = LOADERS[name](folder / name)
        run(noise)
        load_ms = _since(started)
        latency_ms = median(_timed(run, noise) for _ in range(_RUNS))
        parity = None if reference is None else _parity(run, bundle, band, reference)
        measured[name] = Measured(size_of(folder / name), load_ms, latency_ms, parity)
    return measured


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def _parity(run: Runner, bundle: Bundle, band: AbstainBand, reference: Reference) -> Parity:
    outputs = [run(waveform) for waveform in reference.clips.waveforms(bundle.features)]
    scores = np.array([float(output["score"][0]) for output in outputs])
    verdicts = np.array([int(output["verdict"][0]) for output in outputs])
    differences = np.abs(scores - reference.scores)
    own_eer = _eer(scores, reference.clips)
    return Parity(
        max_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        verdicts_changed=int((verdicts != band.verdicts(reference.scores)).sum()),
        eer=own_eer,
        eer_change=own_eer - reference.eer,
    )


def _eer(scores: npt.NDArray[np.float64], clips: Clips) -> float:
    is_bona_fide = clips.labels() == BONA_FIDE
    return eer_of_curve(det_curve(scores[is_bona_fide], scores[~is_bona_fide])).value


def _timed(run: Runner, waveform: npt.NDArray[np.float32]) -> float:
    started = time.perf_counter()
    run(waveform)
    return _since(started)


def _since(started: float) -> float:
    """Milliseconds."""
    return 1000.0 * (time.perf_counter() - started)
