"""A picture that explains the score of a recording: waveform, spectrogram with the evidence, score over time.

The waveform and the score over time cover the whole recording. The spectrogram with Grad-CAM covers it up to `EXCERPT_S`, else
the part around the window with the lowest score, where a recording is most suspicious. Of a fusion, the spectrogram and its
evidence are those of the main network alone; the score over time is that of the fusion.
"""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.detector import Detector, FileScore, Source, Terms
from model.report.gradcam import grad_cam
from model.report.pictures import evidence_picture, frequency_ticks, spectrogram_picture
from pipeline.audio.level import limit_peak
from pipeline.files import atomic_write
from pipeline.frontends import make_front_end
from pipeline.text import printable

EXCERPT_S: Final = 12.0
_STRETCHES: Final = 1200
"""Of the outline of a waveform."""
_MOST_MARKERS: Final = 200
_SUSPICIOUS: Final = "#d55e00"


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the picture of a recording shows.

    Attributes:
        result: Its record.
        outline: float32 [stretches, 2], lowest and highest sample of equal stretches of the recording.
        begin_s: Where the spectrogram begins, seconds.
        features: [frames, bins] in dB.
        evidence: float32 [frames, bins] in [0, 1].
        for_bona_fide: Whether it is the evidence for bona fide or for spoof: the side of the threshold that the score is on, or
            where only a part is shown, the score of its lowest window.
    """

    result: FileScore
    outline: npt.NDArray[np.float32]
    begin_s: float
    features: npt.NDArray[np.floating[Any]]
    evidence: npt.NDArray[np.float32]
    for_bona_fide: bool


def explain(detector: Detector, source: Source, result: FileScore) -> Explanation:
    """Reads a recording again and finds the evidence in it.

    Args:
        detector: That scored it.
        source: The recording.
        result: Its record, with a score.

    Raises:
        AudioError: It cannot be read.
    """
    rate = detector.bundle.features.sample_rate
    duration_s = result.duration_s or 0.0
    begin_s, score = 0.0, result.score or 0.0
    if duration_s > EXCERPT_S:
        lowest = min(result.windows, key=lambda window: window.score)
        score = lowest.score
        begin_s = min(max(0.0, (lowest.start_s + lowest.end_s - EXCERPT_S) / 2), duration_s - EXCERPT_S)
    begin, end = round(begin_s * rate), round((begin_s + EXCERPT_S) * rate)
    stretch = max(1, round(duration_s * rate / _STRETCHES))
    outline, excerpt, rest, place = [], [], np.zeros(0, np.float32), 0
    for block in detector.blocks(source):
        excerpt.append(block[max(0, begin - place) : max(0, end - place)])
        place += len(block)
        rest = np.concatenate([rest, block])
        whole = len(rest) // stretch * stretch
        outline.append(_outline(rest[:whole].reshape(-1, stretch)))
        rest = rest[whole:]
    if len(rest):
        outline.append(_outline(rest[np.newaxis]))
    features = make_front_end(detector.bundle.features)(limit_peak(np.concatenate(excerpt)))
    for_bona_fide = score >= result.threshold
    evidence = grad_cam(detector.bundle.network, features, for_bona_fide=for_bona_fide)
    return Explanation(result, np.concatenate(outline), begin_s, features, evidence, for_bona_fide)


def picture(explanation: Explanation, detector: Detector) -> bytes:
    """The picture as PNG."""
    from matplotlib.figure import Figure

    result, params = explanation.result, detector.bundle.features
    duration_s = result.duration_s or 0.0
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    wave, image, line = figure.subplots(3, 1, height_ratios=(1, 2, 1.2))
    figure.suptitle(_title(result), x=0.01, ha="left", fontsize=11, parse_math=False)
    times = np.linspace(0.0, duration_s, len(explanation.outline))
    wave.fill_between(times, *explanation.outline.T, color="#444444", linewidth=0)
    wave.set(xlim=(0, duration_s), ylabel="waveform")
    end_s = explanation.begin_s + len(explanation.features) * params.hop_length / params.sample_rate
    extent = (explanation.begin_s, end_s, 0.0, 100.0)
    for_bona_fide = explanation.for_bona_fide
    image.imshow(spectrogram_picture(explanation.features), extent=extent, aspect="auto")
    image.imshow(evidence_picture(explanation.evidence, for_bona_fide=for_bona_fide), extent=extent, aspect="auto")
    heights, labels = zip(*frequency_ticks(params), strict=True)
    image.set_yticks(heights, labels)
    of = ", main network" if len(detector.model.networks) > 1 else ""
    image.set_ylabel(f"evidence for {'bona fide' if for_bona_fide else 'spoof'}{of}")
    _draw_scores(line, result, detector.terms)
    if duration_s > EXCERPT_S:
        for axes in (wave, line):
            axes.axvspan(explanation.begin_s, end_s, color="#999999", alpha=0.25)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


def _draw_scores(axes: Any, result: FileScore, terms: Terms) -> None:
    """The score of each window over time, with threshold, band and suspicious stretches."""
    middles = [(window.start_s + window.end_s) / 2 for window in result.windows]
    marker = "." if len(middles) <= _MOST_MARKERS else None
    axes.plot(middles, [window.score for window in result.windows], color="#222222", marker=marker, linewidth=1)
    axes.axhspan(terms.uncertain_low, terms.uncertain_high, color="#999999", alpha=0.2, label="uncertain")
    axes.axhline(terms.threshold, color="#555555", linewidth=1, linestyle="--", label="threshold")
    for number, part in enumerate(result.suspicious):
        label = "suspicious" if number == 0 else None
        axes.axvspan(part.start_s, part.end_s, color=_SUSPICIOUS, alpha=0.3, label=label)
    axes.set(xlim=(0, result.duration_s), xlabel="seconds", ylabel="score")
    axes.legend(loc="upper right", fontsize=8, ncols=3)


def _title(result: FileScore) -> str:
    text = (
        f"{Path(result.path).name}: {result.verdict}, score {result.score:+.2f}, probability {result.probability:.1%}"
    )
    notes = [result.reason] if result.reason else []
    notes += [warning.message for warning in result.warnings if warning.message != result.reason]
    return printable("\n".join([text, *("\n".join(wrap(note, 130)) for note in notes)]))


class PictureWriter:
    """Writes a picture for each record with a score into a folder: the file's name and `.png`.

    Args:
        detector: That scores.
        sources: In the order of the records.
        folder: Made where it is missing. A name that is taken gets a number.
    """

    def __init__(self, detector: Detector, sources: Sequence[Source], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._detector = detector
        self._sources = iter(sources)
        self._folder = folder
        self._names: Counter[str] = Counter()

    def write(self, record: FileScore) -> None:
        """Draws the next record."""
        source = next(self._sources)
        if record.problem is not None:
            return
        stem = Path(record.path).stem or "recording"
        stem = "stdin" if stem == "-" else stem
        self._names[stem] += 1
        number = f"-{self._names[stem]}" if self._names[stem] > 1 else ""
        explanation = explain(self._detector, source, record)
        atomic_write(self._folder / f"{stem}{number}.png", picture(explanation, self._detector))


def _outline(stretches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if not len(stretches):
        return np.zeros((0, 2), np.float32)
    return np.stack([stretches.min(axis=1), stretches.max(axis=1)], axis=1)
