from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.dataset import training_batches
from model.params import TrainParams
from model.sampler import CropSampler, spec_augment
from model.twins import Twins
from pipeline.errors import CorpusError, StoreError
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


def twin_index(lengths: list[int], copies: int, twins: int, lacking: int = -1) -> pa.Table:
    """Rows of a train split: bona fide clips with their copies and the twins of each, clip `lacking` without any."""
    rows = [
        {"utterance_id": f"b{clip}", "copy": copy, "twin_of": None, "n_frames": n}
        for clip, n in enumerate(lengths)
        for copy in range(1 + copies)
    ] + [
        {"utterance_id": f"b{clip}", "copy": 1 + copies + of * twins + m, "twin_of": of, "n_frames": n}
        for clip, n in enumerate(lengths)
        for of in range(1 + copies)
        for m in range(twins)
        if clip != lacking
    ]
    return pa.Table.from_pylist(
        [rows[place] for place in np.random.default_rng(3).permutation(len(rows))],
        pa.schema(
            [("utterance_id", pa.string()), ("copy", pa.int64()), ("twin_of", pa.int32()), ("n_frames", pa.int64())]
        ),
    )


def with_spoofs(index: pa.Table, count: int) -> pa.Table:
    """The index with spoof rows of real attacks before it."""
    spoofs = [{"utterance_id": f"s{number}", "copy": 0, "twin_of": None, "n_frames": 9} for number in range(count)]
    return pa.concat_tables([pa.Table.from_pylist(spoofs, index.schema), index])


def twin_sampler(params: TrainParams, index: pa.Table, n_spoof: int, **changes: Any) -> CropSampler:
    index = with_spoofs(index, n_spoof)
    labels = [int(name[0] == "b" and of is None) for name, of in zip(*columns(index), strict=True)]
    clips = NumberedFrames(*index["n_frames"].to_pylist())
    plain = params.model_copy(update={"freq_mask": 0, "time_mask": 0, **changes})
    return CropSampler(clips, np.array(labels), 8, np.zeros(3, np.float16), plain, Twins(index))


def columns(index: pa.Table) -> tuple[list[str], list[int | None]]:
    return index["utterance_id"].to_pylist(), index["twin_of"].to_pylist()


def masked(frames: np.ndarray, mean: np.ndarray, freq_mask: int, time_mask: int, seed: int) -> np.ndarray:
    changed = frames.copy()
    spec_augment(
        changed, np.broadcast_to(mean, (len(frames), len(mean))), freq_mask, time_mask, np.random.default_rng(seed)
    )
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


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=2, max_size=9),
    copies=st.integers(0, 2),
    twins=st.integers(1, 3),
    n_spoof=st.integers(0, 30),
    batch_size=st.sampled_from([2, 8, 12, 64]),
    step=st.integers(0, 10**6),
)
def test_a_twin_stands_beside_its_clip_at_the_same_offset(
    train_params: TrainParams, lengths: list[int], copies: int, twins: int, n_spoof: int, batch_size: int, step: int
) -> None:
    index = twin_index(lengths, copies, twins)
    sampler = twin_sampler(train_params, index, n_spoof, batch_size=batch_size)
    names, twin_of = columns(with_spoofs(index, n_spoof))
    copy = with_spoofs(index, n_spoof)["copy"].to_pylist()

    rows, batch = sampler.examples(step), sampler.batch(step)

    assert batch.labels.sum() * 2 == batch_size
    found = [place for place, row in enumerate(rows) if twin_of[row] is not None]
    assert len(found) == (batch_size // 2 if not n_spoof else len(found))
    assert abs(len(found) - batch_size / 4) < 1 or not n_spoof
    for place in found:
        clip, twin = rows[place - 1], rows[place]
        assert batch.labels[place] == 0
        assert (names[twin], twin_of[twin]) == (names[clip], copy[clip])
        assert np.array_equal(batch.features[place], batch.features[place - 1]), "a short clip is repeated alike"


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.25, 4), (0.5, 8), (1.0, 16)])
def test_the_share_of_twins_is_that_of_the_spoof_crops_in_every_batch(
    train_params: TrainParams, share: float, expected: int
) -> None:
    index = twin_index([9] * 5, 0, 3)
    sampler = twin_sampler(train_params, index, 7, batch_size=32, twin_share=share)
    twin_of = with_spoofs(index, 7)["twin_of"].to_pylist()

    counts = {sum(twin_of[row] is not None for row in sampler.examples(step)) for step in range(40)}

    assert counts == {expected}


def test_clips_return_only_after_all_others_of_their_class_beside_twins(train_params: TrainParams) -> None:
    index = twin_index([9] * 5, 1, 3)
    sampler = twin_sampler(train_params, index, 7, batch_size=32)
    twin_of = with_spoofs(index, 7)["twin_of"].to_pylist()
    drawn = np.concatenate([sampler.examples(step) for step in range(35)])
    real = np.array([twin_of[row] is None for row in drawn])

    for stream in (drawn[real & (drawn < 7)], drawn[real & (drawn >= 7)]):
        size = len(set(stream.tolist()))
        passes = [stream[at : at + size] for at in range(0, len(stream) - size + 1, size)]
        assert len(passes) > 20
        assert all(len(set(one.tolist())) == size for one in passes)


def test_all_twins_of_a_clip_are_drawn_evenly(train_params: TrainParams) -> None:
    index = twin_index([9, 9], 0, 3)
    sampler = twin_sampler(train_params, index, 4, batch_size=64)
    twin_of = with_spoofs(index, 4)["twin_of"].to_pylist()

    counts = Counter(row for step in range(100) for row in sampler.examples(step).tolist() if twin_of[row] is not None)

    assert len(counts) == 6
    assert sum(counts.values()) == 1600
    assert min(counts.values()) > 1600 / 6 * 0.75


def test_a_clip_without_twins_leaves_its_place_to_another_clip_of_the_batch(train_params: TrainParams) -> None:
    index = twin_index([9, 12, 15], 0, 2, lacking=1)
    sampler = twin_sampler(train_params, index, 4, batch_size=8)
    names, twin_of = columns(with_spoofs(index, 4))

    for step in range(50):
        rows, features = sampler.examples(step), sampler.batch(step).features
        clips = {names[row]: crop for row, crop in zip(rows, features, strict=True) if twin_of[row] is None}
        twins = [(names[row], crop) for row, crop in zip(rows, features, strict=True) if twin_of[row] is not None]
        assert len(twins) == 2
        assert all(name in clips and name != "b1" for name, _ in twins)


@pytest.mark.parametrize("batch_size", [1, 3, 5])
def test_a_batch_of_any_size_has_as_many_twins_over_time(train_params: TrainParams, batch_size: int) -> None:
    index = twin_index([9] * 4, 0, 2)
    sampler = twin_sampler(train_params, index, 6, batch_size=batch_size)
    twin_of = with_spoofs(index, 6)["twin_of"].to_pylist()

    drawn = np.concatenate([sampler.examples(step) for step in range(40)])

    assert sum(twin_of[row] is not None for row in drawn) == 10 * batch_size


@pytest.mark.parametrize("balance", ["weight", "none"])
def test_without_balanced_classes_twins_are_left_out(train_params: TrainParams, balance: str) -> None:
    index = twin_index([9] * 4, 1, 2)
    sampler = twin_sampler(train_params, index, 6, class_balance=balance)

    drawn = Counter(np.concatenate([sampler.examples(step) for step in range(7)]).tolist())

    twin_of = with_spoofs(index, 6)["twin_of"].to_pylist()
    assert set(drawn) == {row for row, of in enumerate(twin_of) if of is None}
    assert set(drawn.values()) == {8}


def test_a_twin_of_another_length_is_an_error_that_names_the_clip() -> None:
    index = twin_index([9, 12], 0, 1)
    rows = zip(*columns(index), index["n_frames"].to_pylist(), strict=True)
    lengths = [n + (of is not None and name == "b1") for name, of, n in rows]

    with pytest.raises(StoreError, match="b1: its copy-synthesis twin, copy 1, has 13 frames, the clip 12"):
        Twins(index.set_column(3, "n_frames", pa.array(lengths)))


def test_a_twin_whose_clip_is_not_in_the_store_is_never_drawn(train_params: TrainParams) -> None:
    index = twin_index([9, 12], 0, 1)
    orphaned = index.filter([name != "b1" or of is not None for name, of in zip(*columns(index), strict=True)])
    sampler = twin_sampler(train_params, orphaned, 3)

    names = columns(with_spoofs(orphaned, 3))[0]
    assert {names[row] for step in range(9) for row in sampler.examples(step)} == {"b0", "s0", "s1", "s2"}


def test_twins_alone_are_no_spoof_examples_for_a_balance_that_leaves_them_out(
    tone_store: FeatureStore, train_params: TrainParams
) -> None:
    twin_of = pa.array([9 if label == 0 else None for label in tone_store.index["label"].to_pylist()], pa.int32())
    store = FeatureStore(
        tone_store.storage, tone_store.info, tone_store.index.drop_columns("twin_of").append_column("twin_of", twin_of)
    )

    for balance in ("sample", "weight", "none"):  # "sample" as well, for the clips of these twins are not in the store
        with pytest.raises(CorpusError, match="no spoof examples but copy-synthesis twins"):
            CropSampler.of(store, train_params.model_copy(update={"class_balance": balance}))


def test_a_gain_shifts_a_whole_crop_and_each_has_its_own(tone_store: FeatureStore, train_params: TrainParams) -> None:
    plain = {"freq_mask": 0, "time_mask": 0}
    sampler = CropSampler.of(tone_store, train_params.model_copy(update={**plain, "gain_db": 3.0}))
    quiet = CropSampler.of(tone_store, train_params.model_copy(update={**plain, "gain_db": 0.0}))
    gains = np.concatenate([sampler.batch(step).gains for step in range(60)])

    assert np.all(gains == gains[:, :1]), "each bin alike"
    assert len(np.unique(gains[:, 0])) == len(gains)
    assert gains[:, 0].std() == pytest.approx(3.0, rel=0.1)
    assert gains[:, 0].mean() == pytest.approx(0.0, abs=0.3)
    assert not quiet.batch(0).gains.any()


def test_a_bin_that_a_gain_does_not_change_stays(train_params: TrainParams) -> None:
    params = train_params.model_copy(update={"gain_db": 3.0})
    response = np.array([2.0, 0.0, 0.0], np.float32)
    sampler = CropSampler(
        NumberedFrames(9, 9), np.array([0, 1]), 8, np.zeros(3, np.float16), params, level_response=response
    )

    gains = sampler.batch(0).gains

    assert gains[:, 0].any()
    assert not gains[:, 1:].any()


def test_masked_values_are_the_mean_after_the_gain(tone_store: FeatureStore, train_params: TrainParams) -> None:
    params = train_params.model_copy(update={"freq_mask": 0, "time_mask": 20, "gain_db": 6.0})
    mean = tone_store.statistics.mean
    hidden = 0
    for features, _, _ in training_batches(tone_store, params).take(3):
        hidden += int((np.abs(features.numpy() - mean).max(axis=2) < 0.1).sum())

    assert hidden > 100
