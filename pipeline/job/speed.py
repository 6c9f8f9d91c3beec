"""What the features job costs on this machine, measured on generated clips: the rates behind `bonafide plan`."""

import hashlib
import math
import multiprocessing
import platform
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import soundfile

from pipeline.audio.measures import Measures
from pipeline.corpus.schema import MANIFEST_SCHEMA
from pipeline.frontends import FeatureParams
from pipeline.job.capacity import Rates
from pipeline.job.worker import Extractor
from pipeline.job.worklist import worklist
from pipeline.params import AugmentParams, Params
from pipeline.runners.beam_log import hush_beam
from pipeline.storage import LocalStorage, Storage
from pipeline.store.lineage import Config
from pipeline.store.reader import read_rejects
from pipeline.store.schema import shard_name
from pipeline.store.sharding import Shard, Source, plan_shards
from pipeline.store.writer import StoredExample, close_store, write_shard

# Longer clips cost the same per second.
_LONGEST_CLIP_S: Final = 20.0
_CALIBRATION_AUDIO_S: Final = 40.0
# Babble needs three other clips of a shard.
_FEWEST_CLIPS: Final = 5
# Copies cost the same each, and a round should end within the budget.
_MOST_COPIES: Final = 4
_COMMAND_EXAMPLES: Final = 8_192
_COMMAND_SHARDS: Final = 8
_HARMONICS: Final = 24


def calibrate(params: Params, mean_s: float, budget_s: float) -> Rates:
    """Measures what the job's own code costs on this machine, on generated clips in a temporary folder.

    Small shards are extracted and written as in the job, by turns without and with copies, after everything is compiled. What
    counts is this process's CPU time, so neither storage nor waiting for a core matters; work beside it still costs some
    per cent of cache and clock.

    Args:
        params: All parameters; with no copies asked for, the rate of a copy is measured on one.
        mean_s: Duration of the clips in seconds; longer ones than 20 s are measured at 20 s.
        budget_s: Rounds begin until this much wall time is spent, in seconds; there is at least one.
    """
    deadline = time.monotonic() + budget_s
    augmented = params.augment.model_copy(update={"copies": min(max(1, params.augment.copies), _MOST_COPIES)})
    original = params.augment.model_copy(update={"copies": 0})
    with TemporaryDirectory(prefix="bonafide-plan-") as name:
        folder = Path(name)
        sources = _write_clips(folder, min(mean_s, _LONGEST_CLIP_S), params.features.sample_rate)
        audio_s = sum(soundfile.info(folder / source.path).duration for source in sources)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn, initializer=hush_beam) as fresh:
            start_s, worker_bytes = fresh.submit(_start, folder, sources, params.features, original).result()
        storage = LocalStorage(str(folder / "store"))
        _shard_seconds(storage, folder, sources, params.features, augmented)  # compiles and warms up
        command_clip_s, command_shard_s = _command_seconds(LocalStorage(str(folder / "command")), params)
        shards_s = original_s = copies_s = 0.0
        rounds = 0
        while not rounds or time.monotonic() < deadline:
            # Other names are other draws: of pitch, tempo and noise.
            renamed = [replace(source, utterance_id=f"{source.utterance_id}_{rounds}") for source in sources]
            empty_s = _shard_seconds(storage, folder, [], params.features, original)
            plain_s = _shard_seconds(storage, folder, renamed, params.features, original)
            shards_s += empty_s
            original_s += plain_s - empty_s
            copies_s += _shard_seconds(storage, folder, renamed, params.features, augmented) - plain_s
            rounds += 1
    return Rates(
        original_s=original_s / rounds / audio_s,
        copy_s=copies_s / rounds / audio_s / augmented.copies,
        shard_s=shards_s / rounds,
        start_s=start_s,
        command_clip_s=command_clip_s,
        command_shard_s=command_shard_s,
        worker_bytes=worker_bytes,
    )


def processor() -> str:
    """The model of this machine's processor, or its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def _start(folder: Path, sources: list[Source], features: FeatureParams, augment: AugmentParams) -> tuple[float, int]:
    """CPU seconds that this new process has used once it extracted a clip, and its resident memory in bytes."""
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
    """CPU seconds per clip and per shard that the command spends before and after the workers' part."""
    augment = params.augment
    clips = max(_FEWEST_CLIPS, _COMMAND_EXAMPLES // (1 + augment.copies))
    config = Config.current(params.features, augment)
    few_shards = params.store.model_copy(update={"shards": _COMMAND_SHARDS})

    def seconds(n_clips: int) -> tuple[float, int]:
        manifest = _manifest(n_clips)
        began = time.process_time()
        shards = plan_shards(manifest, few_shards, params.features, augment)
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


def _examples(shard: Shard, features: FeatureParams, augment: AugmentParams) -> Iterator[StoredExample]:
    """Examples of one frame: the command reads the index alone, whatever the size of the records."""
    frame = np.zeros((1, features.n_bins), np.float16)
    measures = Measures(0.0, 0.0, 0.0, 0.0, 0.0)
    for source in shard.sources:
        for copy in range(1 + augment.copies):
            yield StoredExample(source, copy, frame, {}, 1.0, 1.0, measures)


def _write_clips(folder: Path, duration_s: float, sample_rate: int) -> list[Source]:
    """Writes 16-bit FLAC clips, always the same, about 40 s of audio and at least five."""
    sources = []
    for number in range(max(_FEWEST_CLIPS, math.ceil(_CALIBRATION_AUDIO_S / duration_s))):
        utterance_id = f"clip_{number:03d}"
        path = folder / f"{utterance_id}.flac"
        soundfile.write(path, _voice(number, round(duration_s * sample_rate), sample_rate), sample_rate, "PCM_16")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append(Source(utterance_id, None, None, 1, path.name, sha256, None))
    return sources


def _voice(seed: int, n_samples: int, sample_rate: int) -> npt.NDArray[np.float32]:
    """Harmonics of a gliding pitch in syllables, with breath: float32 [n_samples], in [-1, 1].

    FLAC packs it to `FLAC_RATIO`, as it does speech, so that it takes as long to decode.
    """
    generator = np.random.default_rng(seed)
    time_s = np.arange(n_samples) / sample_rate
    glide = 1.0 + 0.1 * np.sin(2.0 * np.pi * generator.uniform(0.3, 0.7) * time_s)
    phase = 2.0 * np.pi * np.cumsum(generator.uniform(90.0, 250.0) * glide) / sample_rate
    voice = np.zeros(n_samples)
    for harmonic in range(1, _HARMONICS + 1):
        voice += np.sin(harmonic * phase + generator.uniform(0.0, 2.0 * np.pi)) / harmonic**1.5
    syllables = (0.5 + 0.5 * np.sin(2.0 * np.pi * 4.0 * time_s)) ** 2
    voice = voice * syllables + 0.008 * generator.standard_normal(n_samples)
    return np.asarray(0.25 * voice / np.abs(voice).max(), dtype=np.float32)
