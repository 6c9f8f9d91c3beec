"""The input of training compared with tf.data streams on the same store in one run, and the time of a training step.

    python benchmarks/bench_training.py --json reports/training.json
    python benchmarks/bench_training.py --gpu

The store holds random spectrograms, 10 % of them bona fide. The ways to read it alternate; the figures are CPU times of the
whole process per example, and medians of paired ratios with the quartiles. `--gpu` measures steps on the GPUs there are, for
several batch sizes and precisions.
"""

import argparse
import gc
import itertools
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf

from model.dataset import parse_record, training_batches
from model.params import TrainParams, load_params
from model.sampler import crop_frames
from model.scoring.windows import take_frames
from model.training.train import compiled_network
from pipeline.audio.measures import Measures
from pipeline.corpus.schema import MANIFEST_SCHEMA
from pipeline.params import load_params as load_pipeline_params
from pipeline.storage import open_storage
from pipeline.store import FeatureStore
from pipeline.store.close import close_store
from pipeline.store.lineage import Config
from pipeline.store.sharding import assign_shards
from pipeline.store.writer import StoredExample, write_shard

REPOSITORY = Path(__file__).resolve().parent.parent
SHUFFLE_BYTES = 128 * 2**20
READ_AHEAD_SHARDS = 8
TARGET_RATIO, TARGET_WAIT = 10.0, 0.02
SETTLE_S = 0.5
GPU_BATCHES = (32, 128, 512)


def write_store(folder: Path, clips: int) -> FeatureStore:
    """A store of 10 % bona fide clips of 1 to 6 seconds, originals alone, with train and dev."""
    params = load_pipeline_params(REPOSITORY / "params.yaml")
    rows = [
        {
            "split": split,
            "utterance_id": f"{split}{number:07d}",
            "speaker_id": f"S{number % 20}",
            "attack_id": None if number % 10 == 0 else "A01",
            "label": int(number % 10 == 0),
            "path": "",
            "sample_rate": 16000,
            "channels": 1,
            "n_samples": 48000,
            "duration_s": 3.0,
            "sha256": "0" * 64,
            "problem": None,
        }
        for split, count in (("train", clips), ("dev", 20))
        for number in range(count)
    ]
    manifest = pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)
    no_twins = params.augment.copy_synthesis.model_copy(update={"copies": 0})
    augment = params.augment.model_copy(update={"copies": 0, "copy_synthesis": no_twins})
    storage, config = open_storage(folder), Config.current(params.features, augment)
    shards = assign_shards(manifest, params.store, params.features, 0)
    draw = np.random.default_rng(1)
    measures = Measures(
        leading_silence_s=0.0, trailing_silence_s=0.0, level_db=-20.0, peak_db=-1.0, band_edge_hz=8000.0
    )
    for shard in shards:
        lengths = draw.integers(100, 600, len(shard.sources)).tolist()
        examples = [
            StoredExample(
                source,
                0,
                draw.uniform(-100, 0, (n, params.features.n_bins)).astype(np.float16),
                {},
                n / 100,
                n / 100,
                measures,
                "flac",
            )
            for source, n in zip(shard.sources, lengths, strict=True)
        ]
        write_shard(storage, shard, config, examples)
    close_store(storage, shards, config)
    return FeatureStore.open(folder)


def random_crop(features: tf.Tensor, n_frames: int, seed: tf.Tensor) -> tf.Tensor:
    length = tf.shape(features)[0]
    choices = tf.where(length >= n_frames, length - n_frames + 1, length)
    start = tf.random.stateless_uniform((), seed, minval=0, maxval=choices, dtype=tf.int32)
    return take_frames(features, start + tf.range(n_frames), n_frames)


def tfio_masks(features: tf.Tensor, mean: tf.Tensor, params: TrainParams) -> tf.Tensor:
    import tensorflow_io as tfio

    masked = tfio.audio.freq_mask(features - mean, params.freq_mask + 1)
    return tf.ensure_shape(tfio.audio.time_mask(masked, params.time_mask + 1) + mean, features.shape)


def record_streams(store: FeatureStore, params: TrainParams, by_class: bool) -> tf.data.Dataset:
    """Batches by tf.data alone: one stream of all records, or one for each class that parses all and keeps its own."""
    paths = [store.records_url(shard) for shard in store.shards("train")]
    lengths = store.select(split="train").index["length"].to_numpy()
    buffer = int(np.clip(SHUFFLE_BYTES / lengths.mean(), 1, len(lengths)))
    n_frames, n_bins = crop_frames(params.crop_s, store.features), store.features.n_bins
    mean = tf.constant(store.statistics.mean, tf.float32)

    def stream(label: int | None) -> tf.data.Dataset:
        def wanted(record: tf.Tensor) -> tf.Tensor:
            parsed = tf.io.parse_single_example(record, {"label": tf.io.FixedLenFeature((), tf.int64)})
            return parsed["label"] == label

        seed = params.seed + (label or 0)
        files = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths), seed=seed)
        records = files.interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(READ_AHEAD_SHARDS, len(paths)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        records = records if label is None else records.filter(wanted)
        return records.shuffle(buffer, seed=seed).repeat()

    def crop(number: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = parse_record(record, n_bins)
        seed = tf.stack([params.seed, number])
        return random_crop(example["features"], n_frames, seed), tf.cast(example["label"], tf.float32)

    def mask(features: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tfio_masks(features, mean, params), label

    turns = tf.data.Dataset.range(2).repeat()
    records = tf.data.Dataset.choose_from_datasets([stream(1), stream(0)], turns) if by_class else stream(None)
    return (
        records.enumerate()
        .map(crop, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .map(mask)
        .batch(params.batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def cpu_us(dataset: tf.data.Dataset, batch_size: int, examples: int) -> float:
    """CPU time of the process per example in microseconds, read-ahead included, once the buffers are full.

    Only this dataset is open. It is measured over many more examples than it reads ahead, without a pause.
    """
    steps = max(1, examples // batch_size)
    batches = iter(dataset)
    for _ in itertools.islice(batches, max(1, steps // 4)):
        pass
    start = time.process_time()
    for _ in itertools.islice(batches, steps):
        pass
    return 1e6 * (time.process_time() - start) / steps / batch_size


def row(name: str, peer: str, ratios: list[float], target: float, note: str) -> dict[str, Any]:
    low, ratio, high = np.percentile(ratios, (25, 50, 75)).tolist()
    met = bool(ratio >= target) if target >= 1 else bool(ratio <= target)
    return {
        "name": name,
        "peer": peer,
        "ratio": ratio,
        "spread": [low, high],
        "target": target,
        "met": met,
        "unit": "x" if target >= 1 else "share",
        "note": note,
    }


def compare_input(store: FeatureStore, params: TrainParams, repeats: int, examples: int) -> list[dict[str, Any]]:
    ways = {
        "index-driven sampler": training_batches(store, params),
        "class-filtered TFRecord streams": record_streams(store, params, by_class=True),
        "TFRecordDataset + shuffle + parse": record_streams(store, params, by_class=False),
    }
    options = tf.data.Options()
    options.autotune.enabled = False  # it deepens the read-ahead while it is measured
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, dataset in ways.items():
            times[name].append(cpu_us(dataset.with_options(options), params.batch_size, examples))
            gc.collect()  # ends the threads of the iterator
            time.sleep(SETTLE_S)
    print(f"{'way':<36}{'CPU us/example':>16}{'examples/s':>12}")
    for name, found in times.items():
        print(f"{name:<36}{np.median(found):>16.1f}{1e6 / np.median(found):>12,.0f}")
    own = times["index-driven sampler"]
    return [
        row(
            "training input",
            peer,
            [other / mine for other, mine in zip(times[peer], own, strict=True)],
            target,
            f"{1e6 / np.median(own):,.0f} examples/s of one core, {1e6 / np.median(times[peer]):,.0f} by the peer",
        )
        for peer, target in zip(list(ways)[1:], (TARGET_RATIO, 1.0), strict=True)
    ]


def measure_steps(store: FeatureStore, params: TrainParams, steps: int) -> tuple[float, list[float]]:
    """Wall time of a step in seconds, and for each step the share of it in which it waits for its batch."""
    network, _ = compiled_network(store, params)
    batches = iter(training_batches(store, params))
    shares, times = [], []
    for number in range(steps + 3):
        begin = time.perf_counter()
        features, labels, weights = next(batches)
        ready = time.perf_counter()
        float(network.train_on_batch(features, labels, weights))
        end = time.perf_counter()
        if number >= 3:  # the first steps compile
            shares.append((ready - begin) / (end - begin))
            times.append(end - begin)
    return float(np.median(times)), shares


def measure_gpu(store: FeatureStore, params: TrainParams, steps: int) -> None:
    if not tf.config.list_physical_devices("GPU"):
        print("--gpu: TensorFlow sees no GPU on this machine, so there is nothing to measure")
        return
    print(f"{'batch':>6}{'precision':>12}{'step ms':>10}{'examples/s':>12}{'input wait':>12}")
    for batch_size, half in itertools.product(GPU_BATCHES, (False, True)):
        keras.backend.clear_session()
        changed = params.model_copy(update={"batch_size": batch_size, "mixed_precision": half})
        step_s, shares = measure_steps(store, changed, steps)
        precision = "float16" if half else "float32"
        rate, wait = batch_size / step_s, np.median(shares)
        print(f"{batch_size:>6}{precision:>12}{1e3 * step_s:>10.1f}{rate:>12,.0f}{wait:>12.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1500, help="training clips of the store (default 1500)")
    parser.add_argument("--passes", type=int, default=7, help="passes of each way to read (default 7)")
    parser.add_argument("--examples", type=int, default=6400, help="examples per repeat (default 6400)")
    parser.add_argument("--steps", type=int, default=10, help="training steps (default 10)")
    parser.add_argument("--gpu", action="store_true", help="measure steps on the GPUs there are")
    parser.add_argument("--json", type=Path, help="file for the rows")
    arguments = parser.parse_args()

    params = load_params(REPOSITORY / "params.yaml").train
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "store", arguments.clips)
        rows = compare_input(store, params, arguments.passes, arguments.examples)
        step_s, shares = measure_steps(store, params, arguments.steps)
        note = f"step of {params.batch_size} clips: {1e3 * step_s:.0f} ms, {params.batch_size / step_s:,.0f} examples/s"
        rows.append(row("input wait of a training step", "whole step", shares, TARGET_WAIT, note))
        if arguments.gpu:
            measure_gpu(store, params, arguments.steps)
    for found in rows:
        low, high = found["spread"]
        print(f"{found['name']} / {found['peer']}: {found['ratio']:.3g} ({low:.3g} to {high:.3g}); {found['note']}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
