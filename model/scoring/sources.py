"""From audio to what the networks take: a recording as one part, or as the overlapping parts of a long recording.

A recording up to `features.max_duration_s` of the model is one part, decoded and cut into windows as in the evaluation. A longer
one is decoded block by block. Each of its parts goes through the front end as a clip of its own, with its own level where the
front end scales clips to one level, and with half a second more on both sides so that its frames are those of the recording.
Windows overlap by half, within and across parts. Memory does not grow with the length of the recording. Several networks share
the decoded waveform and the parts; which recordings are taken and where parts begin is decided by the first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from model.scoring.domain import measures_of
from model.scoring.network_input import NetworkInput
from model.scoring.scorer import Cut
from model.scoring.speech import SpeechFinder
from pipeline.audio import Waveform
from pipeline.audio.decode import decode_bytes, prepare, read_clip
from pipeline.audio.kernels import largest_deviation
from pipeline.audio.level import amplitude_db
from pipeline.audio.limits import most_bytes
from pipeline.audio.measures import measure
from pipeline.audio.recordings import LARGEST_IN_MEMORY, open_recording, waveform_blocks
from pipeline.audio.streams import open_stream
from pipeline.corpus.audio_files import read_object
from pipeline.corpus.places import ObjectPath
from pipeline.errors import AudioError
from pipeline.frontends import FeatureParams

LONGEST_S: Final = 12 * 3600.0
"""Longest recording that is scored, in seconds."""
PART_S: Final = 30.0
"""Seconds of the windows of one part of a long recording."""


@dataclass(frozen=True, eq=False)
class Samples:
    """A waveform in memory.

    Attributes:
        values: [samples] or [samples, channels]; floats with full scale at 1, or integers with that of their type.
        sample_rate: Hz.
    """

    values: npt.NDArray[np.generic]
    sample_rate: int


@dataclass(frozen=True, eq=False)
class Source:
    """A recording to score.

    Attributes:
        name: What its record calls it.
        audio: A file, also in a bucket, the bytes of one, or samples.
    """

    name: str
    audio: Path | ObjectPath | bytes | Samples


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a recording, ready for the networks.

    Attributes:
        cuts: For each network, features as float16, as in the feature store, and the windows; a silent part of a long recording
            has none.
        starts_s: For each network float64 [windows], where each begins, in seconds from the start of the recording.
        end_s: Where the part ends.
        measures: From `measures_of`; empty without checks.
        speech: Whether speech was found; None without the check.
    """

    cuts: tuple[Cut, ...]
    starts_s: tuple[npt.NDArray[np.float64], ...]
    end_s: float
    measures: dict[str, float]
    speech: bool | None


class PartReader:
    """Reads recordings as parts. Threads may share it.

    Args:
        inputs: What each network takes, at one sample rate.
        checks: Whether parts are measured.
        speech: Finds speech; None to skip that.
        longest_s: Longer recordings are refused, in seconds.
    """

    def __init__(
        self, inputs: Sequence[NetworkInput], *, checks: bool, speech: SpeechFinder | None, longest_s: float = LONGEST_S
    ) -> None:
        self.inputs = inputs
        self.params = inputs[0].params
        self.longest_s = longest_s
        self._checks = checks
        self._speech = speech if checks else None
        # Networks that take the same have it computed once.
        self._same = [next(k for k, other in enumerate(inputs) if other.equals(item)) for item in inputs]

    def whole(self, source: Source) -> Part | None:
        """A recording as one part; None if it is a long one.

        Raises:
            AudioError: It cannot be scored.
        """
        try:
            waveform, duration_s = self._short(source)
        except AudioError as error:
            if error.reason != "too_long":
                raise
            return None
        if duration_s > self.longest_s:
            raise AudioError("too_long", f"{duration_s:.1f} s, at most {self.longest_s:g} s are allowed")
        cuts = self._each(lambda number: self.inputs[number].whole(waveform))
        return self._part(waveform, cuts, 0.0, duration_s)

    def parts(self, source: Source) -> Iterator[Part]:
        """A long recording as parts, in order.

        Raises:
            AudioError: It cannot be scored; at the place that cannot be decoded, or at the end if all of it is silent.
        """
        yield from self._of_blocks(self.blocks(source))

    def blocks(self, source: Source) -> Iterator[Waveform]:
        """The waveform of any recording, float32 at the front end's rate, some seconds at a time; raises `AudioError`."""
        if isinstance(source.audio, Samples):
            waveform, duration_s = _prepared(source.audio, self.params)
            if duration_s > self.longest_s:
                raise AudioError("too_long", f"{duration_s:.1f} s, at most {self.longest_s:g} s are allowed")
            yield waveform  # in memory already
        elif not isinstance(source.audio, Path):
            data = source.audio if isinstance(source.audio, bytes) else read_object(source.audio, LARGEST_IN_MEMORY)
            yield from waveform_blocks(open_stream(data), self.params.sample_rate, self.longest_s)
        else:
            with open_recording(source.audio) as stream:
                yield from waveform_blocks(stream, self.params.sample_rate, self.longest_s)

    def _short(self, source: Source) -> tuple[Waveform, float]:
        if isinstance(source.audio, Samples):
            if len(source.audio.values) > self.params.max_duration_s * source.audio.sample_rate:
                raise AudioError("too_long", "a long recording")
            return _prepared(source.audio, self.params)
        if isinstance(source.audio, bytes):
            data = source.audio
        elif isinstance(source.audio, Path):
            data = read_clip(source.audio, self.params)
        else:
            data = read_object(source.audio, most_bytes(self.params.max_duration_s))
        decoded = decode_bytes(data, self.params)
        return decoded.waveform, decoded.source_duration_s

    def _of_blocks(self, blocks: Iterator[Waveform]) -> Iterator[Part]:
        """Cuts blocks of any length into parts whose windows begin every half window."""
        main, rate = self.inputs[0], self.params.sample_rate
        stride = main.stride * self.params.hop_length
        step = max(1, round(PART_S * rate / stride)) * stride
        margin = max(item.margin for item in self.inputs)
        # A part is cut when a whole window is left behind it, so that the last one has a window, too.
        needed = step + max(2 * item.n_frames * item.params.hop_length + 2 * item.margin for item in self.inputs)
        buffer, first, silent = np.zeros(0, np.float32), 0, True  # `first`: sample of the recording at buffer[0]
        begin = 0  # sample at which the next part begins
        for block in blocks:
            buffer = np.concatenate([buffer, block])
            while first + len(buffer) - begin >= needed:
                part = self._long_part(buffer, first, begin, [item.frames_of(step) for item in self.inputs])
                silent &= not part.cuts
                yield part
                begin += step
                keep = max(0, begin - margin - first)
                buffer, first = buffer[keep:].copy(), first + keep
        rest = first + len(buffer) - begin
        part = self._long_part(buffer, first, begin, [item.front_end.n_frames(rest) for item in self.inputs])
        yield part
        if silent and not part.cuts:
            raise AudioError("silent", f"no part has a peak of {self.params.silence_db:g} dB about its mean")

    def _long_part(self, buffer: Waveform, first: int, begin: int, n_frames: Sequence[int]) -> Part:
        """The part from sample `begin` on, with these numbers of frames for the networks."""
        rate = self.params.sample_rate
        pieces = [item.piece(buffer, begin - first, n) for item, n in zip(self.inputs, n_frames, strict=True)]
        waveform = pieces[0][0]
        low = max(first, begin - self.inputs[0].margin)
        end_s = (low + len(waveform)) / rate
        if amplitude_db(largest_deviation(waveform)) < self.params.silence_db:
            return Part((), (), end_s, {}, None)
        cuts = self._each(lambda number: pieces[number][1]())
        return self._part(waveform, cuts, begin / rate, end_s)

    def _each(self, cut_of: Callable[[int], Cut]) -> tuple[Cut, ...]:
        """The cuts of all networks, from what makes that of a number."""
        made = {number: cut_of(number) for number in set(self._same)}
        return tuple(made[number] for number in self._same)

    def _part(self, waveform: Waveform, cuts: tuple[Cut, ...], start_s: float, end_s: float) -> Part:
        starts_s = tuple(start_s + cut.places[:, 0] * item.hop_s for item, cut in zip(self.inputs, cuts, strict=True))
        rate = self.params.sample_rate
        measures = {}
        if self._checks:
            found = measure(waveform, rate)
            measures = measures_of(
                cuts[0].features,
                self.inputs[0].front_end,
                self.params,
                duration_s=len(waveform) / rate,
                silence_s=found.leading_silence_s + found.trailing_silence_s,
                level_db=found.level_db,
                band_edge_hz=found.band_edge_hz,
            )
        speech = None if self._speech is None else self._speech(waveform, rate)
        return Part(cuts, starts_s, end_s, measures, speech)


def _prepared(samples: Samples, params: FeatureParams) -> tuple[Waveform, float]:
    values = np.asarray(samples.values)
    if values.ndim not in (1, 2):
        raise AudioError(
            "unsupported_format", f"an array with {values.ndim} axes; give [samples] or [samples, channels]"
        )
    if np.issubdtype(values.dtype, np.signedinteger):
        values = values / -float(np.iinfo(values.dtype).min)
    elif not np.issubdtype(values.dtype, np.floating):
        raise AudioError("unsupported_format", f"samples of type {values.dtype}; give floats or signed integers")
    single = np.ascontiguousarray(values.reshape(len(values), -1), dtype=np.float32)
    if samples.sample_rate < 1000 or len(single) > LONGEST_S * samples.sample_rate:
        raise AudioError("unsupported_format", f"{len(single)} samples at a rate of {samples.sample_rate} Hz")
    return prepare(single, samples.sample_rate, params), len(single) / samples.sample_rate
