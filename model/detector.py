"""The detector as a Python object: load a model once, then ask it about files, bytes or samples.

    detector = Detector.load("data/model")
    result = detector.score("call.flac")

`bonafide.Detector` is the same class. Results are typed; docs/scoring.md describes their fields.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle
from model.detector_model import DetectorModel, load_model
from model.params import DEFAULT_ABSTAIN_ERROR_RATE, DEFAULT_PRIOR
from model.scoring.recordings import WINDOWS_PER_BATCH, RecordingScorer
from model.scoring.results import Caution, FileScore, Terms, WindowScore
from model.scoring.sources import LONGEST_S, Samples, Source
from model.scoring.speech import available
from pipeline.corpus.places import corpus_path
from pipeline.errors import AudioError

__all__ = ["Caution", "Detector", "FileScore", "Samples", "Source", "Terms", "WindowScore"]


class Detector:
    """Tells real speech from fake speech. Threads may share a detector.

    Args:
        model: One network, or a fusion.
        prior: Probability of bona fide before listening.
        abstain_error_rate: Error rate per class on dev of the verdicts outside the uncertain band.
        checks: Whether a recording that is unlike the training data, or holds no speech, gets the verdict "uncertain".
        batch_size: Windows that a network takes at once.
        longest_s: Longer recordings are refused, in seconds.

    Attributes:
        model: Its networks and their fusion.
        bundle: The network, of a fusion the main one.
        terms: Threshold, uncertain band, prior, and where they come from.
    """

    def __init__(
        self,
        model: Bundle | DetectorModel,
        prior: float = DEFAULT_PRIOR,
        abstain_error_rate: float = DEFAULT_ABSTAIN_ERROR_RATE,
        *,
        checks: bool = True,
        batch_size: int = WINDOWS_PER_BATCH,
        longest_s: float = LONGEST_S,
    ) -> None:
        self.model = DetectorModel.of(model) if isinstance(model, Bundle) else model
        self.bundle = self.model.main
        self.terms = Terms.of(self.model, prior, abstain_error_rate, checks=checks, speech_check=checks and available())
        self._scorer = RecordingScorer(self.model, self.terms, batch_size, longest_s)

    @classmethod
    def load(
        cls,
        folder: str | Path = "data/model",
        prior: float = DEFAULT_PRIOR,
        abstain_error_rate: float = DEFAULT_ABSTAIN_ERROR_RATE,
        *,
        checks: bool = True,
        longest_s: float = LONGEST_S,
    ) -> "Detector":
        """Loads the model of `bonafide train` or `bonafide fuse` from a folder; the other arguments are those of the class.

        Raises:
            ModelError: There is none, it is damaged, or another version of the program made it.
            MetricsError: The error rate is not at least 0 and below 0.5.
        """
        return cls(load_model(Path(folder)), prior, abstain_error_rate, checks=checks, longest_s=longest_s)

    def score(
        self, audio: str | Path | bytes | npt.NDArray[np.generic] | Source, sample_rate: int | None = None
    ) -> FileScore:
        """Scores one recording.

        Args:
            audio: A path, the address of a file in a bucket, the bytes of a file, or samples: [samples] or
                [samples, channels], floats with full scale at 1 or integers.
            sample_rate: Of samples, Hz.

        Raises:
            AudioError: It cannot be scored; `reason` and `detail` say why.
            TypeError: Samples come without a rate.
        """
        (result,) = self.score_files([_source(audio, sample_rate)])
        if result.problem is not None:
            reason, _, detail = result.problem.partition(": ")
            raise AudioError(reason, detail)
        return result

    def score_files(self, files: Iterable[str | Path | bytes | Source]) -> Iterator[FileScore]:
        """Scores many recordings: one record each, in order, as they come. Few are in memory at once.

        A recording that cannot be scored has a `problem` and no verdict; the others are still scored. Short recordings share
        a call of the network.
        """
        return self._scorer.each(_source(file) for file in files)

    def blocks(self, source: Source) -> Iterator[npt.NDArray[np.float32]]:
        """The waveform of a recording at the front end's rate, float32 [samples], some seconds at a time; raises `AudioError`."""
        return self._scorer.reader.blocks(source)


def _source(audio: str | Path | bytes | npt.NDArray[np.generic] | Source, sample_rate: int | None = None) -> Source:
    if isinstance(audio, Source):
        return audio
    if isinstance(audio, str | Path):
        return Source(str(audio), corpus_path(audio))
    if isinstance(audio, bytes):
        return Source("-", audio)
    if sample_rate is None:
        raise TypeError("samples need their sample_rate")
    return Source("-", Samples(np.asarray(audio), sample_rate))
