"""Scores of audio files: log-likelihood ratio for bona fide, probability and verdict.

A file goes through the front end and the windows that the model was trained with, and its score is the calibrated mean logit of
its windows. The score depends neither on the other files nor on the batch size.
"""

import glob
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle
from model.errors import ModelError
from model.metrics import abstain_band, probability
from model.scoring.scorer import ClipScorer
from pipeline.audio.decode import decode
from pipeline.audio.files import AUDIO_SUFFIXES
from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_name
from pipeline.errors import AudioError
from pipeline.frontends import make_front_end

LONGEST_S: Final = 1200.0
"""Longest file that is scored, in seconds, unless the model was trained with a higher limit: a scored clip has no copies, so
it needs less memory than a clip of train."""
_VERDICTS: Final = {BONA_FIDE: label_name(BONA_FIDE), SPOOF: label_name(SPOOF), -1: "uncertain"}


@dataclass(frozen=True)
class FileScore:
    """Score and verdict of one file.

    Attributes:
        path: The file as given.
        score: Log-likelihood ratio for bona fide; None for a file that cannot be scored.
        probability: Of bona fide, at the stated prior; None without a score.
        threshold: Score from which a clip counts as bona fide, from dev.
        verdict: "bona fide", "spoof" or "uncertain"; None without a score.
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
) -> Iterator[FileScore]:
    """Scores audio files through the front end that the model was trained with; short files share a call of the network.

    Args:
        bundle: The model.
        paths: Audio files.
        prior: Probability of bona fide before the clip is heard.
        abstain_error_rate: Error rate per class on dev of the verdicts outside the uncertain band.
        batch_size: Windows per batch.

    Yields:
        One record per file, in order. A file that cannot be scored has a `problem`; the others are still scored.
    """
    scorer = ClipScorer(bundle.network)
    front_end = make_front_end(bundle.features)
    longest_s = max(LONGEST_S, bundle.features.max_duration_s)
    params = bundle.features.model_copy(update={"max_duration_s": longest_s})
    band = abstain_band(bundle.development.bonafide, bundle.development.spoof, abstain_error_rate)
    asked: deque[tuple[Path, str | None]] = deque()  # files that were read and not yielded, each with its problem

    def clips() -> Iterator[npt.NDArray[np.float16]]:
        for path in paths:
            try:
                # float16, as in the feature store: a file gets the same score here and in the evaluation.
                features = front_end(decode(path, params).waveform).astype(np.float16)
            except AudioError as error:
                asked.append((path, str(error)))
            else:
                asked.append((path, None))
                yield features

    def scored(path: Path, logit: float) -> FileScore:
        score = float(bundle.calibration.apply(logit))
        verdict = _VERDICTS[int(band.verdicts(score))]
        return FileScore(str(path), score, float(probability(score, prior)), bundle.threshold, verdict, None)

    def unscored() -> Iterator[FileScore]:
        while asked and asked[0][1] is not None:
            path, problem = asked.popleft()
            yield FileScore(str(path), None, None, bundle.threshold, None, problem)

    for logit in scorer.each_logit(clips(), batch_size):
        yield from unscored()
        yield scored(asked.popleft()[0], logit)
    yield from unscored()


@dataclass(frozen=True)
class FoundFiles:
    """The files that the arguments of the command name.

    Attributes:
        paths: Each file once.
        hidden: Dot files in the folders, which are left out.
        others: Files in the folders whose names do not end as those of audio files, which are left out.
    """

    paths: list[Path]
    hidden: int
    others: int

    def left_out(self) -> str | None:
        """A sentence about the files that were left out; None without any."""
        parts = [
            f"{count:,} {name}{'s' if count != 1 else ''}"
            for count, name in ((self.hidden, "dot file"), (self.others, "file without the ending of an audio file"))
            if count
        ]
        return f"left out in the folders: {', '.join(parts)}; name a file to score it" if parts else None


def find_files(arguments: Sequence[str]) -> FoundFiles:
    """The files that the arguments name: files, folders and glob patterns.

    Args:
        arguments: A folder stands for its audio files at any depth, by the endings of their names. Files and folders whose
            names begin with a dot are left out: macOS puts a `._x.flac` that is no audio beside each `x.flac`.

    Returns:
        The files in the order of the arguments, sorted within a folder or pattern. A named file that does not exist is kept,
        so that it is reported like any other file that cannot be scored.

    Raises:
        ModelError: A folder or a pattern holds no audio file.
    """
    found: dict[Path, None] = {}
    hidden = others = 0
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            every = sorted(file for file in path.rglob("*") if file.is_file())
            shown = [file for file in every if not any(part.startswith(".") for part in file.relative_to(path).parts)]
            files = [file for file in shown if file.suffix.lower() in AUDIO_SUFFIXES]
            hidden += len(every) - len(shown)
            others += len(shown) - len(files)
            kind = "folder"
        elif glob.has_magic(argument) and not path.exists():
            names = glob.glob(argument, recursive=True)  # noqa: PTH207, since Path.glob takes no absolute pattern
            files = sorted(path for path in map(Path, names) if path.is_file())
            kind = "pattern"
        else:
            files, kind = [path], "file"
        if not files:
            raise ModelError(f"{argument}: the {kind} holds no audio file ({' '.join(sorted(AUDIO_SUFFIXES))})")
        found |= dict.fromkeys(files)
    return FoundFiles(list(found), hidden, others)
