from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from model.dataset import CachedWindows, scoring_batches, training_batches
from model.params import TrainParams
from model.sampler import crop_frames
from model.scoring.windows import clip_windows
from pipeline.errors import CorpusError
from pipeline.store import FeatureStore
from tests.support.parameters import ProjectParams
from tests.support.tone_store import COUNTS, N_BINS, sounds_bona_fide, tone_manifest, write_tone_store


def numbered_frames(length: int) -> tf.Tensor:
    """Every frame holds its own number."""
    return tf.repeat(tf.range(length, dtype=tf.float32)[:, tf.newaxis], 3, axis=1)


def batches(store: FeatureStore, params: TrainParams, count: int, start_step: int = 0) -> list[tuple[np.ndarray, ...]]:
    dataset = training_batches(store, params, start_step)
    return [tuple(tensor.numpy() for tensor in batch) for batch in islice(dataset, count)]


def same(first: list[tuple[np.ndarray, ...]], second: list[tuple[np.ndarray, ...]]) -> bool:
    return all(np.array_equal(a, b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))


@settings(deadline=None, max_examples=60)
@given(length=st.integers(1, 400), n_frames=st.integers(1, 60))
def test_windows_hold_every_frame_and_there_are_no_more_than_needed(length: int, n_frames: int) -> None:
    windows = clip_windows(numbered_frames(length), n_frames).numpy()[:, :, 0].astype(int)

    assert windows.shape == (-(-length // n_frames), n_frames)
    assert set(windows.ravel().tolist()) == set(range(length))
    assert np.all(np.diff(windows, axis=1) % length == 1 % length)


def test_training_batches_are_the_same_twice_and_others_with_another_seed(
    tone_store: FeatureStore, train_params: TrainParams
) -> None:
    first, second = batches(tone_store, train_params, 12), batches(tone_store, train_params, 12)
    other = batches(tone_store, train_params.model_copy(update={"seed": 7}), 12)

    assert same(first, second)
    assert not any(np.array_equal(x[0], y[0]) for x, y in zip(first, other, strict=True))


@pytest.mark.parametrize("balance", ["sample", "weight", "none"])
def test_batches_from_a_step_on_are_those_of_an_undisturbed_run(
    tone_store: FeatureStore, train_params: TrainParams, balance: str
) -> None:
    params = train_params.model_copy(update={"class_balance": balance})

    whole = batches(tone_store, params, 20)

    for start in (1, 6, 13):  # an epoch has 6 steps
        assert same(batches(tone_store, params, 20 - start, start), whole[start:])


def test_sampling_draws_both_classes_equally_often(tone_store: FeatureStore, train_params: TrainParams) -> None:
    for features, labels, weights in batches(tone_store, train_params, 6):
        assert features.shape == (16, crop_frames(0.5, tone_store.features), N_BINS)
        assert labels.sum() == 8
        assert np.all(weights == 1)


def test_weights_make_both_classes_count_the_same(tone_store: FeatureStore, train_params: TrainParams) -> None:
    weighted = train_params.model_copy(update={"class_balance": "weight"})

    drawn = batches(tone_store, weighted, 6)  # one epoch: 96 examples of which a third are bona fide
    labels, weights = (np.concatenate(column) for column in list(zip(*drawn, strict=True))[1:])

    assert Counter(labels.tolist()) == {1.0: 32, 0.0: 64}
    assert weights[labels == 1].sum() == pytest.approx(weights[labels == 0].sum())
    assert weights.mean() == pytest.approx(1)


def test_no_balance_leaves_the_classes_as_they_are(tone_store: FeatureStore, train_params: TrainParams) -> None:
    drawn = batches(tone_store, train_params.model_copy(update={"class_balance": "none"}), 6)

    assert Counter(np.concatenate([labels for _, labels, _ in drawn]).tolist()) == {1.0: 32, 0.0: 64}


def test_every_label_belongs_to_its_spectrogram(tone_store: FeatureStore, train_params: TrainParams) -> None:
    plain = train_params.model_copy(update={"freq_mask": 0, "time_mask": 0})
    for features, labels, _ in batches(tone_store, plain, 6):
        loudest = features.mean(axis=1).argmax(axis=1)
        assert np.array_equal(loudest < N_BINS // 2, labels == 1), "bona fide tones are low, spoof tones high"


def test_scoring_takes_every_original_once_and_whole(tone_store: FeatureStore) -> None:
    found: dict[str, list[np.ndarray]] = {}
    for owners, windows in scoring_batches(tone_store, "train", 30, 7):
        for owner, window in zip(owners.numpy(), windows.numpy(), strict=True):
            found.setdefault(owner.decode(), []).append(window)

    assert len(found) == COUNTS["train"]
    for name, windows in found.items():
        features = tone_store.get(name).features
        assert np.array_equal(np.stack(windows), clip_windows(tf.constant(features, tf.float32), 30))


@pytest.mark.parametrize("most_bytes", [0, 10**9])
def test_cached_windows_are_those_of_the_store_each_time(tone_store: FeatureStore, most_bytes: int) -> None:
    cached = CachedWindows(tone_store, "dev", 30, 7, most_bytes)

    assert cached.fits is (most_bytes > 0)
    for _ in range(2):
        for (owners, windows), (names, expected) in zip(cached, scoring_batches(tone_store, "dev", 30, 7), strict=True):
            assert np.array_equal(owners, names)
            assert windows.dtype == tf.float32
            assert np.array_equal(windows, expected)


@pytest.mark.parametrize("kept", [True, False])
def test_one_class_only_in_train_is_an_error_that_says_so(
    tmp_path: Path, tone_params: ProjectParams, train_params: TrainParams, kept: bool
) -> None:
    rows = [
        row
        for row in tone_manifest().to_pylist()
        if row["split"] != "train" or sounds_bona_fide(row["utterance_id"]) is kept
    ]
    store = write_tone_store(tmp_path, tone_manifest().from_pylist(rows, tone_manifest().schema), tone_params)

    with pytest.raises(CorpusError, match=r"train split holds .* needs both classes"):
        training_batches(store, train_params)
