"""The feature store as tf.data: batches of random crops to train on, windows of whole clips to score.

Crops are drawn by `model.sampler`, windows are cut in the order of the store. Whole examples are read by TensorFlow as TFRecords,
for other networks. No other module imports tensorflow-io, which lets tf.data read `s3://` addresses and decodes FLAC in a graph.
"""

import atexit
import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_io as tfio  # also registers the s3:// file system

from model.params import TrainParams
from model.sampler import Batch, CropSampler
from model.scoring.windows import window_places
from pipeline.errors import StoreError
from pipeline.store import FeatureStore

WindowBatch: TypeAlias = tuple[tf.Tensor, tf.Tensor]
"""Utterance id string [batch], and features float32 [batch, n_frames, bins] in dB."""

CACHED_WINDOWS_BYTES: Final = 2 * 2**30
"""Most memory for the windows of dev, which are scored after every epoch: ASVspoof 2019 LA needs about 1.8 GB."""

_READERS: Final = 2
"""Batches that are read at once, and that wait for the network."""

_errors: Final[list[StoreError]] = []
"""What `training_batches` could not read; TensorFlow has no other way for an exception to its caller."""


def training_batches(store: FeatureStore, params: TrainParams, start_step: int = 0) -> tf.data.Dataset:
    """Endless batches of random crops of the train split, originals, copies and twins; see `CropSampler`.

    A record is checked when a crop of it is read for the first time. TensorFlow turns the error of a damaged one into its
    own; `store_errors` gives it back.

    Args:
        store: With both classes in train.
        params: Crop, batch size, class balance, gain, masks and seed.
        start_step: Number of the first batch. The batches from there on are those of a run that began at 0.

    Returns:
        A dataset of inputs, targets and sample weights for `keras.Model.fit`: (features float32 [batch, frames, bins] in
        dB, label float32 [batch], weight float32 [batch]).

    Raises:
        CorpusError: A class is missing.
        StoreError: A record is too short for the frames that the index states.
    """
    sampler = CropSampler.of(store, params)
    size, n_bins = params.batch_size, sampler.n_bins
    shapes = ((size, sampler.n_frames, n_bins), (size, n_bins), (size,), (size,))

    def read(step: np.int64) -> Batch:
        try:
            return sampler.batch(int(step))
        except StoreError as error:
            _errors.append(error)
            raise

    def draw(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # Stateless, so that TensorFlow runs several at once in deterministic mode as well.
        kinds = (tf.float16, tf.float32, tf.float32, tf.float32)
        batch = tf.numpy_function(read, [step], kinds, stateful=False)
        features, gains, labels, weights = (
            tf.ensure_shape(part, shape) for part, shape in zip(batch, shapes, strict=True)
        )
        return tf.cast(features, tf.float32) + gains[:, tf.newaxis], labels, weights

    return (
        tf.data.Dataset.counter(start_step)
        .map(draw, num_parallel_calls=_READERS, deterministic=True)
        .prefetch(_READERS)
    )


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """Raises the error of a damaged record as it was where `training_batches` read it.

    Raises:
        StoreError: A record could not be read, or is damaged.
    """
    _errors.clear()
    try:
        yield
    except tf.errors.OpError:
        if _errors:
            raise _errors[0] from None
        raise


def scoring_batches(store: FeatureStore, split: str, n_frames: int, batch_size: int) -> Iterable[WindowBatch]:
    """The originals of a split, whole, as batches of windows in the order of the store. Every record is checked.

    Args:
        store: The feature store; labels are not needed.
        split: "train", "dev" or "eval".
        n_frames: Frames of a window.
        batch_size: Windows at once.

    Returns:
        Pairs of (utterance id string [batch], features float32 [batch, n_frames, bins] in dB), each time it is iterated. A
        clip fills one or more windows in a row, see `clip_windows`. Iterating raises `StoreError` at a damaged record.
    """
    return _ScoringBatches(store, split, n_frames, batch_size)


class _ScoringBatches:
    def __init__(self, store: FeatureStore, split: str, n_frames: int, batch_size: int) -> None:
        self._store = store.select(split=split, copy=0)
        self._n_frames = n_frames
        self._size = batch_size

    def __iter__(self) -> Iterator[WindowBatch]:
        owners: list[bytes] = []
        windows: list[npt.NDArray[np.float16]] = []
        for example in self._store:
            features = example.features
            for places in window_places(len(features), self._n_frames):
                owners.append(example.utterance_id.encode())
                windows.append(features[places])
                if len(owners) == self._size:
                    yield tf.constant(owners), tf.cast(np.stack(windows), tf.float32)
                    owners, windows = [], []
        if owners:
            yield tf.constant(owners), tf.cast(np.stack(windows), tf.float32)


class CachedWindows:
    """The batches of `scoring_batches`, read once and kept in memory as float16 where they fit, else read each time.

    The store's values are float16, so nothing is lost.

    Args:
        store: The feature store.
        split: "train", "dev" or "eval".
        n_frames: Frames of a window.
        batch_size: Windows at once.
        most_bytes: Most memory for the windows.

    Attributes:
        fits: Whether the windows are kept.
    """

    def __init__(
        self, store: FeatureStore, split: str, n_frames: int, batch_size: int, most_bytes: int = CACHED_WINDOWS_BYTES
    ) -> None:
        self._batches = scoring_batches(store, split, n_frames, batch_size)
        lengths = store.select(split=split, copy=0).index["n_frames"].to_numpy()
        n_windows = int((-(-lengths // n_frames)).sum())
        self.fits = n_windows * n_frames * store.features.n_bins * tf.float16.size <= most_bytes
        self._kept: list[WindowBatch] = []

    def __iter__(self) -> Iterator[WindowBatch]:
        if not self.fits:
            yield from self._batches
            return
        if not self._kept:
            self._kept = [(owners, tf.cast(windows, tf.float16)) for owners, windows in self._batches]
        for owners, windows in self._kept:
            yield owners, tf.cast(windows, tf.float32)


def to_dataset(store: FeatureStore) -> tf.data.Dataset:
    """The examples of a store or of a selection, for other networks than those of this project.

    Args:
        store: A store in a local folder, or at `s3://…` or `gs://…`.

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


def _record_files(store: FeatureStore, shards: Iterable[str]) -> list[str]:
    """The shards' TFRecord files as tf.data opens them."""
    if store.storage.url.startswith("s3://"):
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


def decode_flac(content: tf.Tensor) -> tf.Tensor:
    """The samples of a FLAC file of 16 bits in a graph.

    Args:
        content: string scalar, the bytes of the file.

    Returns:
        int16 [samples, channels]
    """
    return tfio.audio.decode_flac(content, dtype=tf.int16)
