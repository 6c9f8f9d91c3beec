"""Estimates how much a features job will read, write, compute and hold in memory, without a cluster or a corpus.

`estimate` is arithmetic on measured rates (`pipeline.job.speed`) and the store's own rule for shards. It assumes that every clip
has the mean duration, that all shards of a split have the same size, and that storage keeps up with the workers.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.corpus.schema import BONA_FIDE, SPLITS
from pipeline.frontends import FeatureParams
from pipeline.params import Params
from pipeline.store.sharding import copies, example_bytes, shard_count, twins

FLAC_RATIO: Final = 0.57
"""Size of a FLAC file relative to its 16-bit samples, for read speech at 16 kHz. Quiet recordings have less, such as 0.48."""

_SAMPLE_BYTES: Final = 4
# Frames, spectra and synthesis of the phase vocoder: four arrays of 16 bytes per sample beside the waveforms themselves.
_WORKING_BYTES_PER_SAMPLE: Final = 80
# An example's row of the index, held until its shard is committed, and its Python objects.
_ROW_BYTES: Final = 2_500
# A row of the manifest, which is read column by column, and its place in the plan. Measured at ten million clips, beside what an
# idle worker needs.
_COMMAND_BYTES_PER_CLIP: Final = 180


@dataclass(frozen=True)
class Workload:
    """The input of a features job.

    Attributes:
        clips: Utterances per split; a missing split has none.
        mean_s: Mean duration of a clip in seconds.
        bona_fide_share: Share of bona fide clips in train, in [0, 1]; they alone get twins.
    """

    clips: Mapping[str, int]
    mean_s: float
    bona_fide_share: float = 0.0

    @staticmethod
    def of(clips: int, mean_s: float, train_share: float, bona_fide_share: float = 0.0) -> "Workload":
        """A workload whose clips outside train are all in one split.

        Args:
            clips: Utterances in all.
            mean_s: Their mean duration in seconds.
            train_share: Share of them in train, in [0, 1].
            bona_fide_share: Share of bona fide clips in train, in [0, 1].
        """
        train = round(clips * train_share)
        return Workload({"train": train, "eval": clips - train}, mean_s, bona_fide_share)

    @property
    def audio_s(self) -> float:
        """Seconds of audio to read."""
        return sum(self.clips.values()) * self.mean_s


@dataclass(frozen=True)
class Rates:
    """What the job's work costs on a machine. Seconds are CPU seconds of one core.

    Attributes:
        original_s: Per second of audio: decode, measure, extract and write the clip itself.
        copy_s: Per second of audio of one augmented copy: augment, measure, extract and write it.
        twin_s: Per second of audio of one twin: resynthesise, augment, measure, extract and write it.
        shard_s: Per shard, whatever its size: create, sync and rename its files.
        start_s: Per process, the command or a worker, until it is ready.
        command_clip_s: Per clip, in the command's own process: plan the job and close the store.
        command_shard_s: Per shard, for the same.
        worker_bytes: Resident memory of a worker that is ready, in bytes.
    """

    original_s: float
    copy_s: float
    twin_s: float
    shard_s: float
    start_s: float
    command_clip_s: float
    command_shard_s: float
    worker_bytes: int


@dataclass(frozen=True)
class Estimate:
    """What a features job will take.

    Attributes:
        shards: Of the store, including empty ones.
        busy_shards: Shards that hold clips.
        shard_bytes: Expected size of the largest split's shards in bytes.
        audio_bytes: Read by the workers, as 16-bit FLAC.
        store_bytes: Records written by the workers.
        work_s: CPU seconds that workers spend on shards.
        start_s: CPU seconds that workers need to start.
        command_s: CPU seconds, and wall time, that the command needs by itself: to start, to plan and to close the store.
        workers_wall_s: Wall time in seconds from the first worker's start to the last shard.
        worker_bytes: Peak resident memory of a worker in bytes.
        command_bytes: Resident memory of the command, which holds the plan, in bytes.
    """

    shards: int
    busy_shards: int
    shard_bytes: int
    audio_bytes: int
    store_bytes: int
    work_s: float
    start_s: float
    command_s: float
    workers_wall_s: float
    worker_bytes: int
    command_bytes: int

    @property
    def cpu_s(self) -> float:
        """Total CPU seconds."""
        return self.work_s + self.start_s + self.command_s

    @property
    def wall_s(self) -> float:
        """Wall time in seconds."""
        return self.workers_wall_s + self.command_s


def estimate(workload: Workload, rates: Rates, params: Params, cores: int, efficiency: float) -> Estimate:
    """Estimates a features job.

    The shard is the unit of work: a free core takes the next one, and the job ends with the last. With equal shards this makes
    ceil(shards / cores) waves, each as long as a shard.

    Args:
        workload: The input of the job.
        rates: Of the machines that it runs on.
        params: Front end, copies and the size of shards.
        cores: Worker processes, one per core.
        efficiency: Speed of a core when all cores of a machine work, relative to a core that works alone, in (0, 1].

    Raises:
        ParamsError: A split needs more shards than there are names.
    """
    record = example_bytes(workload.mean_s, params.features)
    tasks: list[tuple[float, int]] = []
    shards = busy_shards = shard_bytes = store_bytes = held_bytes = 0
    for split in SPLITS:
        clips, n_copies = workload.clips.get(split, 0), copies(split, params.augment.copies)
        n_twins = round(clips * workload.bona_fide_share) * twins(
            split, BONA_FIDE, n_copies, params.augment.copy_synthesis.copies
        )
        size = (clips * (1 + n_copies) + n_twins) * record
        count = shard_count(size, params.store)
        busy = min(count, clips)
        if busy:
            audio_s = clips * workload.mean_s
            seconds = audio_s * (rates.original_s + n_copies * rates.copy_s) + busy * rates.shard_s
            seconds += n_twins * workload.mean_s * rates.twin_s
            tasks.append((seconds / busy, busy))
            held = shard_memory(clips / busy, workload.mean_s, params.features, n_copies, n_twins / busy)
            held_bytes = max(held_bytes, held)
            shard_bytes = max(shard_bytes, size // busy)
        tasks.append((rates.shard_s, count - busy))
        shards += count
        busy_shards += busy
        store_bytes += size
    return Estimate(
        shards=shards,
        busy_shards=busy_shards,
        shard_bytes=shard_bytes,
        audio_bytes=round(workload.audio_s * params.features.sample_rate * 2 * FLAC_RATIO),
        store_bytes=store_bytes,
        work_s=sum(seconds * count for seconds, count in tasks),
        start_s=min(cores, shards) * rates.start_s,
        command_s=rates.start_s + sum(workload.clips.values()) * rates.command_clip_s + shards * rates.command_shard_s,
        workers_wall_s=(rates.start_s + makespan(tasks, cores)) / efficiency,
        worker_bytes=rates.worker_bytes + held_bytes,
        command_bytes=rates.worker_bytes + sum(workload.clips.values()) * _COMMAND_BYTES_PER_CLIP,
    )


def makespan(tasks: Iterable[tuple[float, int]], cores: int) -> float:
    """Time until the last task ends in seconds, if every free core takes the next one.

    Args:
        tasks: Pairs of (seconds per task, number of such tasks), in the order in which they start.
        cores: How many tasks run at once.
    """
    free_at = [0.0] * cores
    for seconds, count in tasks:
        for _ in range(count):
            heapq.heapreplace(free_at, free_at[0] + seconds)
    return max(free_at)


def shard_memory(clips: float, mean_s: float, features: FeatureParams, n_copies: int, n_twins: float = 0.0) -> int:
    """Bytes that a worker holds at the peak of a shard, in addition to its memory when idle.

    With n clips of d seconds, c copies, t twins and the sample rate r:

        (n (1 + c) + t) (record + 2,500)
                                      every example's float16 features and its row of the index, until the shard is written
        + n d r 4                     with copies or twins: every decoded float32 waveform, until the shard's last copy
        + d r 80                      the current clip: samples, frames and spectra of the phase vocoder

    Args:
        clips: Clips of the shard.
        mean_s: Their mean duration in seconds.
        features: Front end.
        n_copies: Augmented copies of each clip.
        n_twins: Twins of the shard in all.
    """
    samples = mean_s * features.sample_rate
    examples = (clips * (1 + n_copies) + n_twins) * (example_bytes(mean_s, features) + _ROW_BYTES)
    waveforms = clips * samples * _SAMPLE_BYTES if n_copies or n_twins else 0.0
    return round(examples + waveforms + samples * _WORKING_BYTES_PER_SAMPLE)
