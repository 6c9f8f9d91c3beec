from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.params import TrainParams
from model.sampler import CropSampler, spec_augment
from pipeline.store import FeatureStore
from tests.support.tone_store import COUNTS, N_BINS


class NumberedFrames:
    """Clips of which every frame holds its own number."""

    def __init__(self, *lengths: int) -> None:
        self.n_frames = np.array(lengths)
        self.n_bins = 3

    def read(self, example: int, first: int, out: np.ndarray) -> None:
        assert 0 <= first <= first + len(out) <= self.n_frames[example]
        out[:] = np.arange(first, first + len(out))[:, np.newaxis]


def sampler_of(params: TrainParams, clips: NumberedFrames, labels: Any, n_frames: int, **changes: Any) -> CropSampler:
    plain = params.model_copy(update={"freq_mask": 0, "time_mask": 0, **changes})
    return CropSampler(clips, np.array(labels), n_frames, np.zeros(3, np.float16), plain)


def masked(frames: np.ndarray, mean: np.ndarray, freq_mask: int, time_mask: int, seed: int) -> np.ndarray:
    changed = frames.copy()
    spec_augment(changed, mean, freq_mask, time_mask, np.random.default_rng(seed))
    return changed


@settings(deadline=None, max_examples=60)
@given(length=st.integers(1, 120), n_frames=st.integers(1, 60), step=st.integers(0, 10**9))
def test_a_crop_is_a_run_of_frames_and_a_short_clip_is_repeated(
    train_params: TrainParams, length: int, n_frames: int, step: int
) -> None:
    sampler = sampler_of(train_params, NumberedFrames(length, length), [0, 1], n_frames)

    for crop in sampler.batch(step).features:
        places = crop[:, 0].astype(int)
        assert crop.shape == (n_frames, 3)
        assert np.array_equal(np.diff(places) % length, np.full(n_frames - 1, 1 % length))
        if length >= n_frames:
            assert np.all(np.diff(places) == 1), "a long clip is never wrapped around"


@pytest.mark.parametrize(("length", "starts"), [(12, range(5)), (8, range(1)), (5, range(5))])
def test_crops_start_everywhere(train_params: TrainParams, length: int, starts: range) -> None:
    sampler = sampler_of(train_params, NumberedFrames(length, length), [0, 1], 8)

    assert {int(crop[0, 0]) for step in range(20) for crop in sampler.batch(step).features} == set(starts)


def test_padding_is_never_louder_than_the_clip(train_params: TrainParams) -> None:
    sampler = sampler_of(train_params, NumberedFrames(7, 7), [0, 1], 30)

    assert {(crop.min(), crop.max()) for crop in sampler.batch(0).features} == {(0, 6)}


def test_masked_values_become_the_mean_and_the_others_stay() -> None:
    frames = np.random.default_rng(1).uniform(-90, 0, (8, 50, N_BINS)).astype(np.float16)
    mean = (np.arange(N_BINS) + 5.0).astype(np.float16)

    for before, after in zip(frames, masked(frames, mean, 4, 10, 2), strict=True):
        hidden = after == mean
        assert np.array_equal(after[~hidden], before[~hidden])
        bins, spans = hidden.all(axis=0), hidden.all(axis=1)
        assert bins.sum() <= 4
        assert spans.sum() <= 10
        assert np.array_equal(hidden, bins | spans[:, np.newaxis]), "a band of bins and a span of frames, no more"
        for line in (bins, spans):
            assert np.abs(np.diff(line.astype(int), prepend=0, append=0)).sum() in (0, 2), "in one piece"


def test_masks_reach_their_full_width_and_can_be_switched_off() -> None:
    frames, mean = np.ones((200, 50, N_BINS), np.float16), np.zeros(N_BINS, np.float16)

    hidden = masked(frames, mean, 3, 2, 5) == 0

    assert {*hidden.all(axis=1).sum(axis=1)} == {0, 1, 2, 3}
    assert {*hidden.all(axis=2).sum(axis=1)} == {0, 1, 2}
    assert np.array_equal(masked(frames, mean, 0, 0, 5), frames)
    assert not (masked(frames, mean, 99, 99, 5) == 0).all(axis=(1, 2)).any(), "never a whole clip by one mask"


def test_every_clip_of_a_batch_has_masks_of_its_own() -> None:
    frames, mean = np.ones((32, 50, N_BINS), np.float16), np.zeros(N_BINS, np.float16)

    hidden = masked(frames, mean, 8, 20, 5) == 0

    assert len({clip.tobytes() for clip in hidden}) > 25


@pytest.mark.parametrize("balance", ["sample", "none"])
def test_a_clip_returns_only_after_all_others_of_its_class(train_params: TrainParams, balance: str) -> None:
    labels = [1] * 5 + [0] * 37
    clips = NumberedFrames(*[9] * len(labels))
    sampler = sampler_of(train_params, clips, labels, 8, class_balance=balance, batch_size=6)

    drawn = np.concatenate([sampler.examples(step) for step in range(70)])

    streams = [drawn[drawn < 5], drawn[drawn >= 5]] if balance == "sample" else [drawn]
    for stream in streams:
        size = len(set(stream.tolist()))
        passes = [stream[at : at + size] for at in range(0, len(stream) - size + 1, size)]
        assert len(passes) >= 5
        assert all(len(set(one.tolist())) == size for one in passes)
        assert len({one.tobytes() for one in passes}) > len(passes) // 2, "each pass has an order of its own"


@pytest.mark.parametrize("batch_size", [1, 5, 8])
def test_classes_alternate_whatever_the_batch(train_params: TrainParams, batch_size: int) -> None:
    clips = NumberedFrames(*[9] * 12)
    sampler = sampler_of(train_params, clips, [1] * 2 + [0] * 10, 8, batch_size=batch_size)

    labels = np.concatenate([sampler.batch(step).labels for step in range(20)])

    assert np.array_equal(labels, np.arange(20 * batch_size) % 2 == 0)


def test_an_unlabelled_clip_is_never_drawn(train_params: TrainParams) -> None:
    for balance in ("sample", "weight", "none"):
        sampler = sampler_of(train_params, NumberedFrames(9, 9, 9), [1, -1, 0], 8, class_balance=balance)
        assert {*np.concatenate([sampler.examples(step) for step in range(5)])} == {0, 2}


def test_crops_are_frames_of_the_drawn_examples(tone_store: FeatureStore, train_params: TrainParams) -> None:
    train = tone_store.select(split="train")
    sampler = CropSampler.of(tone_store, train_params.model_copy(update={"freq_mask": 0, "time_mask": 0}))
    keys = list(zip(train.index["utterance_id"].to_pylist(), train.index["copy"].to_pylist(), strict=True))

    for step in range(6):
        batch = sampler.batch(step)
        for number, crop, label in zip(sampler.examples(step), batch.features, batch.labels, strict=True):
            example = train.get(*keys[number])
            assert label == example.label
            repeated = np.concatenate([example.features] * (2 + sampler.n_frames // len(example.features)))
            assert crop.tobytes() in repeated.tobytes()


def test_an_epoch_without_balance_draws_every_example_once(tone_store: FeatureStore, train_params: TrainParams) -> None:
    sampler = CropSampler.of(tone_store, train_params.model_copy(update={"class_balance": "none"}))

    drawn = Counter(np.concatenate([sampler.examples(step) for step in range(6)]).tolist())

    assert len(drawn) == 2 * COUNTS["train"]
    assert set(drawn.values()) == {1}
