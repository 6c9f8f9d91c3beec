"""Measures what the features job costs on this machine: on synthetic clips for `bonafide plan`, on real ones for a dry run."""

import hashlib
import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import psutil
import pyarrow as pa
import soundfile

from pipeline.audio.measures import Measures
from pipeline.augmentation.params import AugmentParams
from pipeline.corpus.schema import BONA_FIDE, MANIFEST_SCHEMA, SPLITS
from pipeline.files import temporary_folder
from pipeline.frontends import FeatureParams
from pipeline.job.capacity import Rates
from pipeline.job.synthetic_clips import FEWEST_CLIPS, write_clips
from pipeline.job.worker import Extractor
from pipeline.job.worklist import worklist
from pipeline.params import Params
from pipeline.runners.beam_log import hush_beam
from pipeline.runners.parent_watchdog import end_with
from pipeline.storage import LocalStorage, Storage
from pipeline.store.close import close_store
from pipeline.store.lineage import Config
from pipeline.store.reader import read_rejects
from pipeline.store.schema import shard_name
from pipeline.store.sharding import Shard, Source, assign_shards, twins
from pipeline.store.writer import StoredExample, write_shard

if TYPE_CHECKING:
    from pipeline.job.plan import RunPlan

# Longer clips cost the same per second.
_LONGEST_CLIP_S: Final = 20.0
# Every copy costs the same, and a round should end within the budget.
_MOST_COPIES: Final = 4
_COMMAND_EXAMPLES: Final = 8_192
_COMMAND_SHARDS: Final = 8


def measure_rates(params: Params, mean_s: float, budget_s: float) -> Rates:
    """Measures what the job's own code costs on this machine, on synthetic clips in a temporary folder.

    Small shards are extracted and written as in the job, in turn without and with copies and twins, after all code is compiled.
    The rates
    are CPU time of this process, so they include neither storage nor waiting for a core. Other load on the machine still
    changes them by a few per cent, through caches and clock rates.

    Args:
        params: All parameters. If they ask for no copies, the rate of a copy is measured on one. If they ask for no twins, the
            rate of a twin is 0.
        mean_s: Duration of the clips in seconds. Clips longer than 20 s are measured at 20 s.
        budget_s: Wall time in seconds after which no further round begins. There is at least one round.
    """
    deadline = time.monotonic() + budget_s
    no_twins = params.augment.copy_synthesis.model_copy(update={"copies": 0})
    original = params.augment.model_copy(update={"copies": 0, "copy_synthesis": no_twins})
    augmented = original.model_copy(update={"copies": min(max(1, params.augment.copies), _MOST_COPIES)})
    resynthesised = params.augment.model_copy(update={"copies": min(params.augment.copies, 1)})
    n_twins = (1 + resynthesised.copies) * resynthesised.copy_synthesis.copies
    with temporary_folder() as folder:
        sources = write_clips(folder, min(mean_s, _LONGEST_CLIP_S), params.features.sample_rate)
        audio_s = sum(soundfile.info(folder / source.path).duration for source in sources)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn, initializer=end_with, initargs=(os.getpid(),)) as fresh:
            fresh.submit(hush_beam).result()
            start_s, worker_bytes = fresh.submit(_start, folder, sources, params.features, original).result()
        storage = LocalStorage(str(folder / "store"))
        for augment in (augmented, resynthesised):  # compiles and warms up
            _shard_seconds(storage, folder, sources, params.features, augment)
        command_clip_s, command_shard_s = _command_seconds(LocalStorage(str(folder / "command")), params)
        shards_s = original_s = copies_s = twins_s = 0.0
        rounds = 0
        while not rounds or time.monotonic() < deadline:
            # Other ids draw other values of pitch, tempo and noise.
            renamed = [replace(source, utterance_id=f"{source.utterance_id}_{rounds}") for source in sources]
            empty_s = _shard_seconds(storage, folder, [], params.features, original)
            plain_s = _shard_seconds(storage, folder, renamed, params.features, original)
            shards_s += empty_s
            original_s += plain_s - empty_s
            copies_s += _shard_seconds(storage, folder, renamed, params.features, augmented) - plain_s
            if n_twins:
                twins_s += _shard_seconds(storage, folder, renamed, params.features, resynthesised) - plain_s
            rounds += 1
    copy_s = copies_s / rounds / audio_s / augmented.copies
    return Rates(
        original_s=original_s / rounds / audio_s,
        copy_s=copy_s,
        twin_s=max(0.0, twins_s / rounds / audio_s - resynthesised.copies * copy_s) / n_twins if n_twins else 0.0,
        shard_s=shards_s / rounds,
        start_s=start_s,
        command_clip_s=command_clip_s,
        command_shard_s=command_shard_s,
        worker_bytes=worker_bytes,
    )


def expected_seconds(plan: "RunPlan", root: str | Path, budget_s: float = 3.0) -> float:
    """Expected time of a run on one core in seconds, measured on a few of its own clips.

    Shards cut down to a few utterances are extracted, copies included, so the time per utterance is that of the job.

    Args:
        plan: Of the run.
        root: What the manifest's paths are relative to.
        budget_s: Time to measure in seconds.
    """
    extract = Extractor(root, plan.params.features, plan.params.augment)
    shards = [replace(shard, sources=shard.sources[:4]) for shard in plan.resume.pending if shard.sources]
    spent = dict.fromkeys(SPLITS, 0.0)
    timed = dict.fromkeys(SPLITS, 0)
    if shards:
        list(extract(shards[0]))  # compiles and warms up
    # From both ends of the list in turn: train is at one end, the splits without copies at the other.
    for shard in itertools.chain.from_iterable(zip(shards, reversed(shards), strict=True)):
        began = time.perf_counter()
        list(extract(shard))
        spent[shard.split] += time.perf_counter() - began
        timed[shard.split] += len(shard.sources)
        if sum(spent.values()) > budget_s:
            break
    overall = sum(spent.values()) / max(1, sum(timed.values()))
    rates = {split: spent[split] / timed[split] if timed[split] else overall for split in SPLITS}
    return sum(rates[shard.split] * len(shard.sources) for shard in plan.resume.pending)


def _start(folder: Path, sources: list[Source], features: FeatureParams, augment: AugmentParams) -> tuple[float, int]:
    """CPU seconds that this new process used until it had written a first clip, and its resident memory in bytes."""
    storage = LocalStorage(str(folder / "start"))
    _shard_seconds(storage, folder, sources[:1], features, augment)
    return time.process_time(), psutil.Process().memory_info().rss


def _shard_seconds(
    storage: Storage, folder: Path, sources: list[Source], features: FeatureParams, augment: AugmentParams
) -> float:
    """CPU seconds of extracting and writing a train shard of these clips."""
    shard = Shard(shard_name("train", 0, 1), "train", tuple(sources))
    extract = Extractor(folder, features, augment)
    config = Config.current(features, augment)
    began = time.process_time()
    write_shard(storage, shard, config, extract(shard))
    return time.process_time() - began


def _command_seconds(storage: Storage, params: Params) -> tuple[float, float]:
    """CPU seconds per clip and per shard that the command needs to plan the job and to close the store.

    Every clip counts as bona fide, so with twins this is an upper bound.
    """
    augment = params.augment
    clips = max(FEWEST_CLIPS, _COMMAND_EXAMPLES // _examples_per_clip(augment))
    config = Config.current(params.features, augment)
    few_shards = params.store.model_copy(update={"shards": _COMMAND_SHARDS})

    def seconds(n_clips: int) -> tuple[float, int]:
        manifest = _manifest(n_clips)
        began = time.process_time()
        shards = assign_shards(manifest, few_shards, params.features, augment.copies)
        with worklist(storage.url, shards, "plan"):
            planned_s = time.process_time() - began
        for shard in shards:
            write_shard(storage, shard, config, _examples(shard, params.features, augment))
        began = time.process_time()
        read_rejects(storage, [shard.name for shard in shards])
        close_store(storage, shards, config)
        return planned_s + time.process_time() - began, len(shards)

    empty_s, n_shards = seconds(0)
    full_s, _ = seconds(clips)
    return max(0.0, full_s - empty_s) / clips, empty_s / n_shards


def _manifest(n_clips: int) -> pa.Table:
    ids = [f"LA_T_{number:07d}" for number in range(n_clips)]
    rows = [
        {
            "split": "train",
            "utterance_id": utterance_id,
            "speaker_id": "LA_0000",
            "label": 1,
            "duration_s": 1.0,
            "path": f"ASVspoof2019_LA_train/flac/{utterance_id}.flac",
            "sha256": hashlib.sha256(utterance_id.encode()).hexdigest(),
        }
        for utterance_id in ids
    ]
    return pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)


def _examples_per_clip(augment: AugmentParams) -> int:
    """Examples of a bona fide clip of train."""
    return 1 + augment.copies + twins("train", BONA_FIDE, augment.copies, augment.copy_synthesis.copies)


def _examples(shard: Shard, features: FeatureParams, augment: AugmentParams) -> Iterator[StoredExample]:
    """Examples of one frame: the command reads only the index, so the size of the records does not matter."""
    frame = np.zeros((1, features.n_bins), np.float16)
    measures = Measures(0.0, 0.0, 0.0, 0.0, 0.0)
    for source in shard.sources:
        for copy in range(_examples_per_clip(augment)):
            yield StoredExample(source, copy, frame, {}, 1.0, 1.0, measures, "flac")
