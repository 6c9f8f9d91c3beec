"""Scores of clips: log-likelihood ratios for bona fide from spectrograms or from audio files.

A clip is cut into windows of the length that the network was trained on, and its score is the calibrated mean of their
logits, so it depends neither on the other clips nor on how many are scored at once.
"""

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.bundle import Bundle
from model.errors import ModelError
from model.metrics import abstain_band, probability
from model.scoring.scorer import ClipScorer
from pipeline.audio.decode import decode
from pipeline.errors import AudioError
from pipeline.frontends import make_front_end

AUDIO_SUFFIXES: Final = (".flac", ".wav")
_VERDICTS: Final = {1: "bona fide", 0: "spoof", -1: "uncertain"}


@dataclass(frozen=True)
class Verdict:
    """What the tool says about one file.

    Attributes:
        path: The file as given.
        score: Log-likelihood ratio for bona fide; None where the file cannot be used.
        probability: Of bona fide, at the stated prior.
        threshold: Score from which a clip counts as bona fide, from dev.
        verdict: "bona fide", "spoof" or "uncertain".
        problem: Why the file has no score, else None.
    """

    path: str
    score: float | None
    probability: float | None
    threshold: float
    verdict: str | None
    problem: str | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def score_files(
    bundle: Bundle, paths: Iterable[Path], prior: float, abstain_error_rate: float, batch_size: int
) -> Iterator[Verdict]:
    """Scores audio files one by one, through the front end that the model was trained with.

    Args:
        bundle: The model.
        paths: Files that libsndfile decodes.
        prior: Probability of bona fide before hearing the clip.
        abstain_error_rate: Error rate per class, on dev, that verdicts outside the uncertain band keep.
        batch_size: Windows at once.

    Yields:
        One verdict per file, in order; a file that cannot be used has a `problem` and stops nothing.
    """
    scorer = ClipScorer(bundle.network)
    front_end = make_front_end(bundle.features)
    band = abstain_band(bundle.development.bonafide, bundle.development.spoof, abstain_error_rate)
    for path in paths:
        try:
            # As stored: the same file gets the same score here and in the evaluation.
            features = front_end(decode(path, bundle.features).waveform).astype(np.float16)
        except AudioError as error:
            yield Verdict(str(path), None, None, bundle.threshold, None, str(error))
            continue
        score = float(bundle.calibration.apply(scorer.logit(features, batch_size)))
        verdict = _VERDICTS[int(band.verdicts(score))]
        yield Verdict(str(path), score, float(probability(score, prior)), bundle.threshold, verdict, None)


def find_files(arguments: Sequence[str]) -> list[Path]:
    """The files that the arguments name: files, folders (searched in full for FLAC and WAV) and glob patterns.

    Returns:
        Each file once, in the order of the arguments, sorted within a folder or pattern. A named file that does not
        exist is kept, to be reported like any other that cannot be used.

    Raises:
        ModelError: A folder or a pattern holds no audio file.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file())
            kind = "folder"
        elif glob.has_magic(argument) and not path.exists():
            names = glob.glob(argument, recursive=True)  # noqa: PTH207, since Path.glob takes no absolute pattern
            files = sorted(path for path in map(Path, names) if path.is_file())
            kind = "pattern"
        else:
            files, kind = [path], "file"
        if not files:
            raise ModelError(f"{argument}: the {kind} holds no {' or '.join(AUDIO_SUFFIXES)} file")
        found |= dict.fromkeys(files)
    return list(found)
