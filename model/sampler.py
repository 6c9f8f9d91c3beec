"""Batches of random crops of the train split, drawn by the store's index.

The index says where each example is, so an epoch is a permutation of row numbers, and only the frames of a crop are read. A
batch follows from the seed and the number of its step alone: training can begin at any step, on any number of devices, and
sees the batches of an undisturbed run. Both classes are treated alike, and a short clip is repeated, never padded.

Copy-synthesis twins (see `model.twins`) are drawn beside their bona fide clip, at the same offset: the two crops differ by the
artefacts of the resynthesis and by the draws of gain and masks alone.
"""

import functools
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from model.params import TrainParams
from model.twins import Numbers, Twins
from pipeline.corpus.schema import BONA_FIDE, SPOOF
from pipeline.errors import CorpusError
from pipeline.frontends import FeatureParams, make_front_end
from pipeline.store import FeatureStore
from pipeline.store.frames import FrameReader

_CLASSES: Final = (BONA_FIDE, SPOOF)
# First numbers of the seeds of the kinds of draws, so that none repeats another's.
_ORDER, _CROPS, _TWINS = 0, 1, 2

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]


class Clips(Protocol):
    """Clips by number; `FrameReader` describes the members."""

    n_frames: Numbers
    n_bins: int

    def read(self, example: int, first: int, out: Halves) -> None:
        """Reads consecutive frames of a clip into `out`."""


class Batch(NamedTuple):
    """What the network is given in one step.

    Attributes:
        features: float16 [batch, frames, bins], in dB, as the store holds them. Masked values are the mean of their bin after
            the gain is added.
        gains: float32 [batch, bins], to be added to every frame of each clip, in dB.
        labels: float32 [batch], 1 bona fide, 0 spoof.
        weights: float32 [batch], of each clip in the loss.
    """

    features: Halves
    gains: Floats
    labels: Floats
    weights: Floats


def crop_frames(crop_s: float, features: FeatureParams) -> int:
    """Frames in a crop of `crop_s` seconds, at least one."""
    return max(1, round(crop_s * features.sample_rate / features.hop_length))


def count_classes(store: FeatureStore, split: str) -> dict[int, int]:
    """Number of examples per label, 1 bona fide and 0 spoof, of a split that must hold both.

    Raises:
        CorpusError: A class is missing.
    """
    labels = store.select(split=split).index["label"]
    counts = {label: pc.sum(pc.equal(labels, label)).as_py() or 0 for label in _CLASSES}
    if not len(labels):
        raise CorpusError(
            f"{store.storage.url} has no {split} split: it can be scored and evaluated; train on a store that has train and dev"
        )
    if not all(counts.values()):
        found = f"{counts[BONA_FIDE]:,} bona fide and {counts[SPOOF]:,} spoof"
        raise CorpusError(
            f"the {split} split holds {found} examples, but needs both classes; "
            f"check the {split} protocol and the rejects in {store.storage.url}"
        )
    return counts


class CropSampler:
    """The batches of a training, by the number of their step. Threads may share it.

    Args:
        clips: Where crops are read.
        labels: int64 [clips], 1 bona fide, 0 spoof; others are never drawn.
        n_frames: Frames of a crop.
        mean: float16 [bins] in dB, replaces masked values: zero after the network's normalisation, but for the rounding of
            at most 0.03 dB.
        params: Batch size, class balance, gain, masks and seed.
        twins: Of the bona fide clips; None where there are none.
        level_response: float32 [bins], what each bin gains where the waveform is 1 dB louder; None: each 1 dB.
    """

    def __init__(
        self,
        clips: Clips,
        labels: Numbers,
        n_frames: int,
        mean: Halves,
        params: TrainParams,
        twins: Twins | None = None,
        level_response: Floats | None = None,
    ) -> None:
        self.n_frames = n_frames
        self.n_bins = clips.n_bins
        self._clips = clips
        self._labels = labels
        self._mean = mean
        self._params = params
        self._twins = twins
        self._level_response = np.ones(clips.n_bins, np.float32) if level_response is None else level_response
        recorded = np.ones(len(labels), dtype=bool) if twins is None else ~twins.is_twin
        members = {label: np.flatnonzero((labels == label) & recorded) for label in _CLASSES}
        balanced = params.class_balance == "sample"
        # Examples of a stream follow one another; streams take turns within a batch.
        self._streams = list(members.values()) if balanced else [np.sort(np.concatenate(list(members.values())))]
        self._weights = _class_weights(members) if params.class_balance == "weight" else dict.fromkeys(_CLASSES, 1.0)
        self._twin_share = _twin_share(params, twins, len(members[SPOOF]))
        self._permutation = functools.lru_cache(maxsize=2 * len(self._streams))(self._permuted)

    @classmethod
    def of(cls, store: FeatureStore, params: TrainParams) -> "CropSampler":
        """The sampler of a store's train split, originals and copies.

        Raises:
            CorpusError: A class is missing.
            StoreError: The records do not have the sizes that the index states, or a twin has another length than its clip.
        """
        count_classes(store, "train")
        train = store.select(split="train")
        labels = pc.fill_null(train.index["label"], -1).to_numpy()
        twins = Twins(train.index)
        if not (labels[~twins.is_twin] == SPOOF).any() and not (params.class_balance == "sample" and len(twins.rows)):
            raise CorpusError(
                f"the train split of {store.storage.url} has no spoof examples but copy-synthesis twins; they are drawn by "
                "train.class_balance sample alone, beside their clips"
            )
        mean = store.statistics.mean.astype(np.float16)
        n_frames = crop_frames(params.crop_s, store.features)
        response = make_front_end(store.features).level_response()
        return cls(FrameReader(train), labels, n_frames, mean, params, twins, response)

    def examples(self, step: int) -> Numbers:
        """The clips of a batch, int64 [batch]: row numbers of the train split.

        A stream is a new permutation of its clips after each pass, so a clip returns only after all others of its stream.
        """
        return self._drawn(step)[0]

    def batch(self, step: int) -> Batch:
        """The batch of a step, from 0.

        Raises:
            StoreError: A record cannot be read.
        """
        examples, partners = self._drawn(step)
        draw = np.random.default_rng([self._params.seed, _CROPS, step])
        features = self._read_crops(examples, partners, draw)
        gains = draw.normal(0.0, self._params.gain_db, (len(examples), 1)).astype(np.float32) * self._level_response
        means = (self._mean - gains).astype(np.float16)
        spec_augment(features, means, self._params.freq_mask, self._params.time_mask, draw)
        labels = self._labels[examples]
        weights = np.where(labels == BONA_FIDE, self._weights[BONA_FIDE], self._weights[SPOOF])
        return Batch(features, gains, labels.astype(np.float32), weights.astype(np.float32))

    def _drawn(self, step: int) -> tuple[Numbers, Numbers]:
        """The clips of a batch, and for each the place in the batch of the clip whose offset it shares: its own, or a twin's.

        Streams take turns. Of every spoof stream `twin_share` are twins, spread evenly; the others follow the permutation.
        """
        size, n_streams = self._params.batch_size, len(self._streams)
        streams = (step * size + np.arange(size)) % n_streams
        turns = (step * size + np.arange(size)) // n_streams
        twins_before = np.floor(turns * self._twin_share).astype(np.int64)
        is_twin = (streams == 1) & (np.floor((turns + 1) * self._twin_share) > twins_before)
        turns = np.where(streams == 1, turns - twins_before, turns)
        found = np.zeros(size, dtype=np.int64)
        for stream, members in enumerate(self._streams):
            mine = (streams == stream) & ~is_twin
            passes, places = np.divmod(turns[mine], max(len(members), 1))
            found[mine] = [
                self._permutation(stream, int(done))[place] for done, place in zip(passes, places, strict=True)
            ]
        partners = np.arange(size)
        if self._twins is not None and is_twin.any():
            self._place_twins(self._twins, found, partners, is_twin, step)
        return found, partners

    def _place_twins(
        self, twins: Twins, found: Numbers, partners: Numbers, is_twin: npt.NDArray[np.bool_], step: int
    ) -> None:
        """Fills the places of twins: each gets one of the clip before it, which is bona fide.

        A twin whose clip is in the batch before, or has none, is that of another bona fide clip of this batch; where no clip of
        the batch has any, it is any twin, alone.
        """
        draw = np.random.default_rng([self._params.seed, _TWINS, step])
        places = np.flatnonzero(is_twin)
        owners = places - 1
        choices = np.flatnonzero(~is_twin & (twins.count[found] > 0))
        if not len(choices):
            found[places] = draw.choice(twins.rows, len(places))
            return
        lacking = (owners < 0) | ~np.isin(owners, choices)
        owners[lacking] = draw.choice(choices, int(lacking.sum()))
        found[places] = twins.draw(found[owners], draw)
        partners[places] = owners

    def _permuted(self, stream: int, done: int) -> Numbers:
        """The clips of a stream in the order of a pass, where `done` passes came before."""
        return np.random.default_rng([self._params.seed, _ORDER, stream, done]).permutation(self._streams[stream])

    def _read_crops(self, examples: Numbers, partners: Numbers, draw: np.random.Generator) -> Halves:
        """A random part of each long clip; a short one is repeated, from a random frame on: [examples, n_frames, bins]."""
        lengths = self._clips.n_frames[examples]
        firsts = draw.integers(0, np.where(lengths >= self.n_frames, lengths - self.n_frames + 1, lengths))[partners]
        crops = np.empty((len(examples), self.n_frames, self.n_bins), dtype=np.float16)
        for crop, example, length, first in zip(
            crops, examples.tolist(), lengths.tolist(), firsts.tolist(), strict=True
        ):
            if length >= self.n_frames:
                self._clips.read(example, first, crop)
            else:
                clip = np.empty((length, self.n_bins), dtype=np.float16)
                self._clips.read(example, 0, clip)
                np.take(clip, first + np.arange(self.n_frames), axis=0, out=crop, mode="wrap")
        return crops


def spec_augment(features: Halves, means: Halves, freq_mask: int, time_mask: int, draw: np.random.Generator) -> None:
    """Hides a band of bins and a span of frames of each clip, after SpecAugment (Park et al., Interspeech 2019).

    `tensorflow_io.audio.freq_mask` and `time_mask` do this for one clip at a time, with draws from a state that no step
    number gives back. On a whole batch they would hide the same band in every clip.

    Args:
        features: float16 [batch, frames, bins] in dB, changed in place.
        means: float16 [batch, bins] in dB, replace masked values.
        freq_mask: Widest band in bins, 0 for none; the width is drawn evenly from 0 up, and is less than all bins.
        time_mask: Widest span in frames, 0 for none; likewise.
        draw: The source of the draws.
    """
    n_clips, n_frames, n_bins = features.shape
    bands = _spans(n_clips, n_bins, freq_mask, draw)
    spans = _spans(n_clips, n_frames, time_mask, draw)
    for clip, mean, (low, high), (begin, end) in zip(features, means, bands, spans, strict=True):
        clip[:, low:high] = mean[low:high]
        clip[begin:end] = mean


def _spans(count: int, size: int, widest: int, draw: np.random.Generator) -> list[list[int]]:
    """Begin and end of `count` random spans on an axis of `size`: list of pairs."""
    widths = draw.integers(0, min(widest, size - 1) + 1, count)
    begins = draw.integers(0, size - widths)  # as in the paper, below size - width
    return np.stack([begins, begins + widths], axis=1).tolist()  # type: ignore[no-any-return]


def _twin_share(params: TrainParams, twins: Twins | None, n_spoof: int) -> float:
    """The share of twins in the spoof crops: all of them where the store has no other spoof examples."""
    if twins is None or not len(twins.rows) or params.class_balance != "sample":
        return 0.0
    return params.twin_share if n_spoof else 1.0


def _class_weights(members: Mapping[int, Numbers]) -> dict[int, float]:
    """Weights that make both classes count the same, one on average."""
    total = sum(map(len, members.values()))
    return {label: total / (len(members) * len(numbers)) for label, numbers in members.items()}
