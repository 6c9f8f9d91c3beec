"""The feature store as tf.data: batches of random crops to train on, windows of whole clips to score.

Both classes are treated alike, a short clip is repeated and never padded, and the order and every draw follow from the seed.
Memory is bounded by the shuffle buffers. No other module imports tensorflow-io, which draws the SpecAugment masks and lets
tf.data read `s3://` addresses.
"""

import atexit
import ctypes
import functools
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pyarrow.compute as pc
import tensorflow as tf
import tensorflow_io as tfio

from model.params import TrainParams
from model.scoring.windows import clip_windows, take_frames
from pipeline.corpus.schema import BONA_FIDE, SPOOF
from pipeline.errors import CorpusError
from pipeline.frontends import FeatureParams
from pipeline.store import FeatureStore

SHUFFLE_BYTES: Final = 128 * 2**20
_READ_AHEAD_SHARDS: Final = 8
_CLASSES: Final = (BONA_FIDE, SPOOF)


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
    if not all(counts.values()):
        found = f"{counts[BONA_FIDE]:,} bona fide and {counts[SPOOF]:,} spoof"
        raise CorpusError(
            f"the {split} split holds {found} examples, but needs both classes; "
            f"check the {split} protocol and the rejects in {store.storage.url}"
        )
    return counts


def training_batches(store: FeatureStore, params: TrainParams) -> tf.data.Dataset:
    """Endless shuffled batches of random crops of the train split, originals and copies.

    Args:
        store: With both classes in train.
        params: Crop, batch size, class balance, masks and seed.

    Returns:
        A dataset of inputs, targets and sample weights for `keras.Model.fit`: (features float32 [batch, frames, bins] in
        dB, label float32 [batch], weight float32 [batch]).

    Raises:
        CorpusError: A class is missing.
    """
    counts = count_classes(store, "train")
    n_frames = crop_frames(params.crop_s, store.features)
    n_bins = store.features.n_bins
    buffer = _shuffle_buffer(store)
    paths = _record_files(store, store.shards("train"))

    if params.class_balance == "sample":
        # One stream per class, taken in turn: every batch holds both equally often.
        streams = [_shuffled_records(paths, [label], buffer, params.seed + label) for label in _CLASSES]
        records = tf.data.Dataset.choose_from_datasets(streams, tf.data.Dataset.range(len(streams)).repeat())
    else:
        records = _shuffled_records(paths, _CLASSES, buffer, params.seed)
    weights = dict.fromkeys(_CLASSES, 1.0)
    if params.class_balance == "weight":
        weights = {label: sum(counts.values()) / (len(counts) * count) for label, count in counts.items()}

    def crop(number: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        example = parse_record(record, n_bins)
        features = random_crop(example["features"], n_frames, tf.stack([params.seed, number]))
        label = example["label"]
        weight = tf.where(label == BONA_FIDE, weights[BONA_FIDE], weights[SPOOF])
        return features, tf.cast(label, tf.float32), weight

    mean = tf.constant(store.statistics.mean, tf.float32)

    def mask(features: tf.Tensor, label: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return spec_augment(features, mean, params.freq_mask, params.time_mask), label, weight

    return (
        records.enumerate()
        .map(crop, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        # Not in parallel: tensorflow-io draws from a generator with a state.
        .map(mask)
        .batch(params.batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def steps_per_epoch(store: FeatureStore, batch_size: int) -> int:
    """Batches that hold as many crops as the train split holds examples."""
    return -(-len(store.select(split="train")) // batch_size)


def scoring_batches(store: FeatureStore, split: str, n_frames: int, batch_size: int) -> tf.data.Dataset:
    """The originals of a split, whole, as batches of windows in the order of the store.

    Args:
        store: The feature store; labels are not needed.
        split: "train", "dev" or "eval".
        n_frames: Frames of a window.
        batch_size: Windows at once.

    Returns:
        A dataset of (utterance id string [batch], features float32 [batch, n_frames, bins] in dB). A clip fills one or
        more windows in a row, see `clip_windows`.
    """
    n_bins = store.features.n_bins
    paths = _record_files(store, store.shards(split))

    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        return parse_record(record, n_bins)

    def cut(example: dict[str, tf.Tensor]) -> tf.data.Dataset:
        windows = clip_windows(example["features"], n_frames)
        owners = tf.repeat(example["utterance_id"], tf.shape(windows)[0])
        return tf.data.Dataset.from_tensor_slices((owners, windows))

    return (
        tf.data.TFRecordDataset(paths)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .filter(lambda example: example["copy"] == 0)
        .flat_map(cut)
        .batch(batch_size)
        .prefetch(2)
    )


def to_dataset(store: FeatureStore) -> tf.data.Dataset:
    """The examples of a store or of a selection, for other networks than those of this project.

    Args:
        store: A store in a local folder or at `s3://bucket/prefix`.

    Returns:
        A dataset of what `parse_record` gives, unbatched, in the order of the index.
    """
    n_bins = store.features.n_bins
    index = store.index.select(["shard", "utterance_id", "copy"])
    keys = [f"{row['utterance_id']} {row['copy']}" for row in index.to_pylist()]
    selected = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(keys, tf.string), tf.ones(len(keys), tf.bool)),
        default_value=False,
    )

    def wanted(example: dict[str, tf.Tensor]) -> tf.Tensor:
        return selected.lookup(tf.strings.join([example["utterance_id"], tf.strings.as_string(example["copy"])], " "))

    shards = dict.fromkeys(index["shard"].to_pylist())
    return (
        tf.data.TFRecordDataset(_record_files(store, shards))
        .map(lambda record: parse_record(record, n_bins), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .filter(wanted)
        .prefetch(tf.data.AUTOTUNE)
    )


def parse_record(record: tf.Tensor, n_bins: int) -> dict[str, tf.Tensor]:
    """Parses a record of the store.

    Args:
        record: A serialised `tf.train.Example`, string scalar.
        n_bins: Bins of the store's spectrograms.

    Returns:
        `utterance_id` string, `label` int64 (-1 where there is none), `copy` int64, `features` float32 [n_frames, n_bins]
        in dB.
    """
    example = tf.io.parse_single_example(
        record,
        {
            "utterance_id": tf.io.FixedLenFeature((), tf.string),
            "label": tf.io.FixedLenFeature((), tf.int64, default_value=-1),
            "copy": tf.io.FixedLenFeature((), tf.int64),
            "features": tf.io.FixedLenFeature((), tf.string),
        },
    )
    values = tf.io.decode_raw(example["features"], tf.float16, little_endian=True)
    example["features"] = tf.cast(tf.reshape(values, (-1, n_bins)), tf.float32)
    return example


def random_crop(features: tf.Tensor, n_frames: int, seed: tf.Tensor) -> tf.Tensor:
    """A random part of a long clip; a short one is repeated, from a random frame on.

    Args:
        features: [length, bins], at least one frame.
        n_frames: Frames wanted.
        seed: int64 [2].

    Returns:
        [n_frames, bins]
    """
    length = tf.shape(features)[0]
    choices = tf.where(length >= n_frames, length - n_frames + 1, length)
    start = tf.random.stateless_uniform((), seed, minval=0, maxval=choices, dtype=tf.int32)
    return take_frames(features, start + tf.range(n_frames), n_frames)


def spec_augment(features: tf.Tensor, mean: tf.Tensor, freq_mask: int, time_mask: int) -> tf.Tensor:
    """Hides a band of bins and a span of frames, after SpecAugment (Park et al., Interspeech 2019).

    Args:
        features: float32 [frames, bins] in dB.
        mean: float32 [bins], replaces masked values: zero after the network's normalisation.
        freq_mask: Widest band in bins, 0 for none; the width is drawn evenly from 0 up.
        time_mask: Widest span in frames, 0 for none.

    Returns:
        float32 [frames, bins] in dB.
    """
    n_frames, n_bins = features.shape
    centred = features - mean
    # tensorflow-io draws a width below its parameter, which must not exceed the axis.
    if freq_mask:
        centred = tfio.audio.freq_mask(centred, min(freq_mask + 1, n_bins))
    if time_mask:
        centred = tfio.audio.time_mask(centred, min(time_mask + 1, n_frames))
    return tf.ensure_shape(centred + mean, (n_frames, n_bins))


def _record_files(store: FeatureStore, shards: Iterable[str]) -> list[str]:
    """The shards' TFRecord files as tf.data opens them."""
    if store.storage.remote:
        _prepare_s3()
    return [store.records_url(shard) for shard in shards]


@functools.cache
def _prepare_s3() -> None:
    """Sets tensorflow-io's S3 plugin to the usual variable for the endpoint, and keeps it from aborting the process at exit."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        os.environ.setdefault("S3_ENDPOINT", endpoint)
    atexit.register(_skip_static_destructors)


def _skip_static_destructors() -> None:
    """Ends the process before the plugin's static destructors, which abort it."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Handlers run last in, first out: this one runs before the destructors, and _exit gets the exit status.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # glibc
        libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)


def _shuffled_records(paths: Sequence[str], labels: Sequence[int], buffer: int, seed: int) -> tf.data.Dataset:
    """Serialised examples of these classes in endless random order."""

    def wanted(record: tf.Tensor) -> tf.Tensor:
        features = {"label": tf.io.FixedLenFeature((), tf.int64, default_value=-1)}
        label = tf.io.parse_single_example(record, features)["label"]
        return tf.reduce_any(label == tf.constant(labels, tf.int64))

    return (
        tf.data.Dataset.from_tensor_slices(list(paths))
        .shuffle(len(paths), seed=seed)
        .interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(_READ_AHEAD_SHARDS, len(paths)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .filter(wanted)
        .shuffle(buffer, seed=seed)
        .repeat()
    )


def _shuffle_buffer(store: FeatureStore) -> int:
    """Number of records that fit into `SHUFFLE_BYTES`, at most those of the train split."""
    lengths = store.select(split="train").index["length"].to_numpy()
    return int(np.clip(SHUFFLE_BYTES / max(1.0, lengths.mean()), 1, max(1, len(lengths))))
