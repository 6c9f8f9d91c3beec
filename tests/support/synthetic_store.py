"""Small feature stores without audio: spectrograms drawn from the utterance id, written by the real writer."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.audio.measures import Measures
from pipeline.corpus.schema import MANIFEST_SCHEMA, SPLITS
from pipeline.storage import open_storage
from pipeline.store.close import close_store
from pipeline.store.lineage import Config
from pipeline.store.resume import ResumePlan, discard_stale, plan_resume
from pipeline.store.sharding import Shard, Source, assign_shards, copies, twin_of, twins
from pipeline.store.writer import Reject, StoredExample, Twin, write_shard
from tests.support.front_ends import LOG_MEL
from tests.support.parameters import ProjectParams, load_project_params

PARAMS_FILE = Path(__file__).resolve().parents[2] / "params.yaml"


def small_params(shards: int | str = 2, n_mels: int = 4, n_copies: int = 1, n_twins: int = 0) -> ProjectParams:
    """The project's parameters, with spectrograms of a few bins, without twins unless asked for."""
    params = load_project_params()
    copy_synthesis = params.augment.copy_synthesis.model_copy(update={"copies": n_twins})
    return params.model_copy(
        update={
            "features": LOG_MEL.model_copy(update={"n_mels": n_mels}),
            "augment": params.augment.model_copy(update={"copies": n_copies, "copy_synthesis": copy_synthesis}),
            "store": params.store.model_copy(update={"shards": shards}),
        }
    )


def manifest_row(split: str, number: int, **changes: Any) -> dict[str, Any]:
    """A row of a manifest: every third utterance is bona fide, the others of two attacks in turn."""
    utterance_id = f"LA_{split[0].upper()}_{number:07d}"
    attack_id = (None, "A01", "A02")[number % 3]
    return {
        "split": split,
        "utterance_id": utterance_id,
        "speaker_id": f"LA_{number % 5:04d}",
        "attack_id": attack_id,
        "label": int(attack_id is None),
        "path": f"ASVspoof2019_LA_{split}/flac/{utterance_id}.flac",
        "sample_rate": 16000,
        "channels": 1,
        "n_samples": 16000,
        "duration_s": 1.0,
        "sha256": hashlib.sha256(utterance_id.encode()).hexdigest(),
        "problem": None,
        **changes,
    }


def manifest_of(counts: Mapping[str, int] | None = None) -> pa.Table:
    """A manifest with this many utterances per split."""
    counts = counts or {"train": 9, "dev": 6, "eval": 6}
    rows = [manifest_row(split, number) for split in SPLITS for number in range(counts.get(split, 0))]
    return pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)


def shards_of(manifest: pa.Table, params: ProjectParams) -> list[Shard]:
    """The shards of a manifest with these parameters."""
    augment = params.augment
    return assign_shards(manifest, params.store, params.features, augment.copies, augment.copy_synthesis.copies)


def config_of(params: ProjectParams) -> Config:
    """The configuration of a run with these parameters."""
    return Config.current(params.features, params.augment)


def examples_of(shard: Shard, params: ProjectParams, missing: Collection[str] = ()) -> Iterator[StoredExample | Reject]:
    """Examples that depend on utterance id, copy and audio checksum alone; ids in `missing` are rejected."""
    for source in shard.sources:
        if source.problem is not None:
            reason, _, detail = source.problem.partition(": ")
            yield Reject(source, reason, detail)
        elif source.utterance_id in missing:
            yield Reject(source, "missing", "no such file")
        else:
            n_copies, n_twins = params.augment.copies, params.augment.copy_synthesis.copies
            n_augmented = copies(shard.split, n_copies)
            for copy in range(1 + n_augmented + twins(shard.split, source.label, n_copies, n_twins)):
                example = example_of(source, copy, params.features.n_bins)
                of = twin_of(copy, n_augmented, n_twins)
                yield example if of is None else replace(example, twin=Twin(of, "CS-lpc"))


def example_of(source: Source, copy: int, n_bins: int) -> StoredExample:
    seed = hashlib.sha256(f"{source.utterance_id} {copy} {source.sha256}".encode()).digest()
    draw = np.random.default_rng(list(seed))
    n_frames = int(draw.integers(3, 9))
    return StoredExample(
        source=source,
        copy=copy,
        features=draw.uniform(-100, 0, (n_frames, n_bins)).astype(np.float16),
        augmentation={} if copy == 0 else {"noise_snr_db": float(draw.uniform(10, 30))},
        duration_s=n_frames / 100,
        source_duration_s=n_frames / 100,
        measures=Measures(
            leading_silence_s=float(draw.uniform(0, 0.3)),
            trailing_silence_s=float(draw.uniform(0, 0.3)),
            level_db=float(draw.uniform(-35, -15)),
            peak_db=float(draw.uniform(-12, -1)),
            band_edge_hz=float(draw.uniform(3000, 8000)),
        ),
        decoder="flac",
    )


def write_store(
    folder: Path | str, manifest: pa.Table, params: ProjectParams, missing: Collection[str] = ()
) -> tuple[ResumePlan, dict[str, Any]]:
    """Brings the store in `folder` up to date as a run does, without Beam; gives what it found and store.json."""
    storage, config, shards = open_storage(folder), config_of(params), shards_of(manifest, params)
    plan = plan_resume(storage, shards, config)
    discard_stale(storage, plan)
    for shard in plan.pending:
        write_shard(storage, shard, config, examples_of(shard, params, missing))
    return plan, close_store(storage, shards, config)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
