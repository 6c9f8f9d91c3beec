"""Scores of recordings, one after the other, with few of them in memory.

A recording goes through the front end and the windows that each network of the model was trained with. The score of a network
is the calibrated mean logit of its windows, and that of the recording is their fusion. It depends neither on the other recordings
nor on the batch size.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, tee
from typing import Final

import numpy as np
import numpy.typing as npt

from model.detector_model import DetectorModel
from model.metrics import probability
from model.scoring.domain import compare, short_clip
from model.scoring.network_input import NetworkInput
from model.scoring.results import (
    IN_BAND,
    NO_SPEECH,
    UNLIKE_TRAINING,
    Caution,
    FileScore,
    Reason,
    Terms,
    Verdict,
    WindowScore,
    stretches,
    unscored,
)
from model.scoring.scorer import ClipOutput, ClipScorer
from model.scoring.sources import LONGEST_S, Part, PartReader, Source
from model.scoring.speech import SpeechFinder
from pipeline.errors import AudioError

WINDOWS_PER_BATCH: Final = 64
_READERS: Final = min(4, os.cpu_count() or 1)
_AHEAD: Final = 4
"""Recordings that each reader is ahead of the network."""
_SPAN_S: Final = 2.0
"""Seconds over which the score is averaged to find suspicious stretches, about the length of the clips it is calibrated on."""


@dataclass(eq=False)
class _Recording:
    """A recording whose windows are on their way through the networks; of each part, one entry for each network."""

    source: Source
    starts_s: list[tuple[npt.NDArray[np.float64], ...]] = field(default_factory=list)
    outputs: list[tuple[ClipOutput, ...]] = field(default_factory=list)
    measures: list[dict[str, float]] = field(default_factory=list)
    speech: list[bool | None] = field(default_factory=list)
    duration_s: float = 0.0
    problem: str | None = None
    read: bool = False

    def add(self, part: Part) -> None:
        """Takes what the networks do not need; the features of the part are not kept."""
        self.duration_s = part.end_s
        if part.cuts:
            self.starts_s.append(part.starts_s)
            self.measures.append(part.measures)
            self.speech.append(part.speech)

    @property
    def finished(self) -> bool:
        """Whether its record can be made."""
        return self.problem is not None or (self.read and len(self.outputs) == len(self.starts_s))

    def measured(self) -> dict[str, float]:
        """The measures of the whole: of many parts the median, and the widest band."""
        if len(self.measures) == 1:
            return self.measures[0]
        merged = {name: float(np.median([part[name] for part in self.measures])) for name in self.measures[0]}
        if merged:
            merged["duration_s"] = self.duration_s
            merged["band_edge_hz"] = max(part["band_edge_hz"] for part in self.measures)
        return merged


class RecordingScorer:
    """Scores recordings with a model.

    Args:
        model: Its networks and their fusion.
        terms: What scores are turned into verdicts with.
        batch_size: Windows that a network takes at once.
        longest_s: Longer recordings are refused, in seconds.
    """

    def __init__(
        self, model: DetectorModel, terms: Terms, batch_size: int = WINDOWS_PER_BATCH, longest_s: float = LONGEST_S
    ) -> None:
        self._model = model
        self._terms = terms
        self._batch_size = batch_size
        networks = model.networks.values()
        self.scorers = [ClipScorer(bundle.network) for bundle in networks]
        inputs = [
            NetworkInput(bundle.features, scorer.n_frames)
            for bundle, scorer in zip(networks, self.scorers, strict=True)
        ]
        speech = SpeechFinder() if terms.speech_check else None
        self.reader = PartReader(inputs, checks=terms.checks, speech=speech, longest_s=longest_s)

    def each(self, sources: Iterable[Source]) -> Iterator[FileScore]:
        """One record per recording, in order, as soon as it is known. One that cannot be scored has a `problem`."""
        asked: deque[_Recording] = deque()  # recordings without a record yet
        owners: deque[_Recording] = deque()  # of the parts that the networks have not answered

        def parts() -> Iterator[Part]:
            for source, first in self._read(sources):
                recording = _Recording(source)
                asked.append(recording)
                try:
                    whole = first.result()
                    for part in self.reader.parts(source) if whole is None else (whole,):
                        recording.add(part)
                        if part.cuts:
                            owners.append(recording)
                            yield part
                except AudioError as error:
                    recording.problem = str(error)
                recording.read = True

        def finished() -> Iterator[FileScore]:
            while asked and asked[0].finished:
                yield self._record(asked.popleft())

        for outputs in self._outputs(parts()):
            owners.popleft().outputs.append(outputs)
            yield from finished()
        yield from finished()

    def _outputs(self, parts: Iterable[Part]) -> Iterator[tuple[ClipOutput, ...]]:
        """What each network says of each part, in order. Networks with windows of other lengths are some parts apart."""

        def outputs(number: int, copy: Iterable[Part]) -> Iterator[ClipOutput]:
            return self.scorers[number].each_output((part.cuts[number] for part in copy), self._batch_size)

        copies = enumerate(tee(parts, len(self.scorers)))
        return zip(*(outputs(number, copy) for number, copy in copies), strict=True)

    def _read(self, sources: Iterable[Source]) -> Iterator[tuple[Source, "Future[Part | None]"]]:
        """Reads recordings in threads, a few ahead."""
        with ThreadPoolExecutor(_READERS) as pool:
            rest = ((source, pool.submit(self.reader.whole, source)) for source in sources)
            waiting = deque(islice(rest, _READERS * _AHEAD))
            try:
                while waiting:
                    yield waiting.popleft()
                    waiting.extend(islice(rest, 1))
            finally:
                for _, future in waiting:
                    future.cancel()

    def _record(self, recording: _Recording) -> FileScore:
        name, terms = recording.source.name, self._terms
        if recording.problem is not None:
            return unscored(name, terms.threshold, recording.problem)
        bundles = self._model.networks.values()
        logits = [
            np.concatenate([output.logits for output in of_parts]) for of_parts in zip(*recording.outputs, strict=True)
        ]
        pairs = list(zip(bundles, logits, strict=True))
        ratios = [float(bundle.calibration.apply(float(np.mean(values)))) for bundle, values in pairs]
        score = float(self._model.fusion.apply([ratios])[0])
        windows = self._windows(recording, [bundle.calibration.apply(values) for bundle, values in pairs])
        suspicious = stretches(windows, terms.uncertain_low, _SPAN_S) if len(windows) > 1 else ()
        warnings = tuple(self._warnings(recording))
        verdict, reason = _verdict(terms, score, warnings)
        return FileScore(
            path=name,
            verdict=verdict,
            reason=reason,
            score=score,
            probability=float(probability(score, terms.prior)),
            threshold=terms.threshold,
            duration_s=recording.duration_s,
            warnings=warnings,
            windows=windows,
            suspicious=suspicious,
        )

    def _windows(self, recording: _Recording, ratios: Sequence[npt.NDArray[np.float64]]) -> tuple[WindowScore, ...]:
        """The windows of the main network; the scores of other networks are interpolated at the middle of each."""
        begins = [np.concatenate(of_parts) for of_parts in zip(*recording.starts_s, strict=True)]
        middles = [begin + item.window_s / 2 for begin, item in zip(begins, self.reader.inputs, strict=True)]
        others = [np.interp(middles[0], *pair) for pair in zip(middles[1:], ratios[1:], strict=True)]
        scores = self._model.fusion.apply(np.stack([ratios[0], *others], axis=1))
        starts, length, end_s = begins[0], self.reader.inputs[0].window_s, recording.duration_s
        return tuple(
            WindowScore(round(start, 6), round(min(start + length, end_s), 6), score)
            for start, score in zip(starts.tolist(), scores.tolist(), strict=True)
        )

    def _warnings(self, recording: _Recording) -> Iterator[Caution]:
        if not self._terms.checks:
            return
        if any(found is not None for found in recording.speech) and not any(recording.speech):
            yield Caution("no_speech", "no speech found", unlike=True)
        outputs = [of_networks[0] for of_networks in recording.outputs]
        counts = [len(output.logits) for output in outputs]
        embedding = np.average([output.embedding for output in outputs], axis=0, weights=counts)
        domain = self._model.main.domain
        yield from compare(domain, recording.measured(), embedding)
        short = short_clip(domain, recording.duration_s, self.reader.inputs[0].window_s)
        if short is not None:
            yield short


def _verdict(terms: Terms, score: float, warnings: Sequence[Caution]) -> tuple[Verdict, Reason | None]:
    if any(warning.name == "no_speech" for warning in warnings):
        return "uncertain", NO_SPEECH
    if any(warning.unlike for warning in warnings):
        return "uncertain", UNLIKE_TRAINING
    verdict = terms.verdict(score)
    return verdict, IN_BAND if verdict == "uncertain" else None
