"""A feature store of tones in noise, made from waveforms: a small network tells its classes apart within seconds."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.audio.measures import measure
from pipeline.corpus.schema import MANIFEST_SCHEMA, SPLITS
from pipeline.frontends import make_front_end
from pipeline.storage import open_storage
from pipeline.store import FeatureStore
from pipeline.store.close import close_store
from pipeline.store.sharding import Shard, copies, twin_of, twins
from pipeline.store.writer import StoredExample, Twin, write_shard
from tests.support.parameters import ProjectParams
from tests.support.synthetic_store import config_of, example_of, manifest_row, shards_of, small_params

N_BINS = 16
COUNTS = {"train": 48, "dev": 24, "eval": 24}
TONES_HZ = {1: 400.0, 0: 2500.0}


def tone(utterance_id: str, bona_fide: bool, copy: int = 0) -> np.ndarray:
    """float32 [samples]: a low tone for bona fide, a high one for spoof, in noise; each of another length."""
    draw = np.random.default_rng([*utterance_id.encode(), copy])
    n_samples = int(draw.integers(3000, 16000))
    seconds = np.arange(n_samples) / 16000
    waveform = 0.1 * np.sin(2 * np.pi * TONES_HZ[bona_fide] * seconds) + 0.05 * draw.standard_normal(n_samples)
    return (np.round(waveform * 32767) / 32768).astype(np.float32)


def tone_manifest(
    counts: Mapping[str, int] = COUNTS, change: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: row
) -> pa.Table:
    rows = [change(manifest_row(split, number)) for split in SPLITS for number in range(counts[split])]
    return pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)


def sounds_bona_fide(utterance_id: str) -> bool:
    """What the audio of an utterance is, whatever its label says."""
    return int(utterance_id.rsplit("_", 1)[1]) % 3 == 0


def write_tone_store(folder: Path, manifest: pa.Table, params: ProjectParams) -> FeatureStore:
    """A store as the features stage writes it."""
    storage, config, shards = open_storage(folder), config_of(params), shards_of(manifest, params)
    front_end = make_front_end(params.features)

    def examples(shard: Shard) -> list[StoredExample]:
        found = []
        n_copies, n_twins = copies(shard.split, params.augment.copies), params.augment.copy_synthesis.copies
        for source in shard.sources:
            for copy in range(1 + n_copies + twins(shard.split, source.label, n_copies, n_twins)):
                of = twin_of(copy, n_copies, n_twins)
                waveform = tone(source.utterance_id, sounds_bona_fide(source.utterance_id), copy if of is None else of)
                features = front_end(waveform).astype(np.float16)
                drawn = example_of(source, copy, N_BINS)
                twin = None if of is None else Twin(of, "CS-toy")
                seconds, measures = len(waveform) / 16000, measure(waveform, 16000)
                found.append(replace(drawn, features=features, duration_s=seconds, measures=measures, twin=twin))
        return found

    for shard in shards:
        write_shard(storage, shard, config, examples(shard))
    close_store(storage, shards, config)
    return FeatureStore.open(folder)


def twin_store(store: FeatureStore) -> FeatureStore:
    """A store beside another, with the same clips, and for each bona fide train clip and its copy a twin of the same sound."""
    folder = Path(f"{store.storage.url}-twins")
    if folder.exists():
        return FeatureStore.open(folder)
    return write_tone_store(folder, tone_manifest(), tone_params(n_twins=1))


def tone_params(n_twins: int = 0) -> ProjectParams:
    """The project's parameters, scaled down to these tones."""
    params = small_params(shards=3, n_mels=N_BINS, n_twins=n_twins)
    train = params.train.model_copy(
        update={
            "steps": 24,
            "steps_per_epoch": 6,
            "keep": "best",
            "weight_average": 0.8,
            "batch_size": 16,
            "crop_s": 0.5,
            "channels": (4, 8),
            "freq_mask": 3,
            "time_mask": 8,
            "learning_rate": 0.03,
        }
    )
    evaluate = params.evaluate.model_copy(update={"intervals": 20})
    return params.model_copy(update={"train": train, "evaluate": evaluate})
