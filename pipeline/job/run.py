"""The features job: manifest and audio in, a complete feature store out, on any Beam runner.

One Beam element is one shard, whose utterances are in a list beside the store. A worker reads each file once, augments, extracts
and commits the shard. No audio and no spectrogram crosses the runner, so the result does not depend on the runner.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa

from pipeline.errors import CorpusError
from pipeline.job.counters import Counts
from pipeline.job.limits import require_few_rejects, require_space
from pipeline.job.progress import Progress, ProgressReporter, shards_in_flight
from pipeline.job.worker import WriteShard
from pipeline.job.worker_check import check_workers
from pipeline.job.worklist import ShardTask, discard_worklist, orphaned_job, worklist
from pipeline.params import Params
from pipeline.runners import options, run
from pipeline.storage import LocalStorage, Storage, open_storage
from pipeline.store.close import close_store
from pipeline.store.lineage import Config
from pipeline.store.reader import read_rejects
from pipeline.store.resume import ResumePlan, discard_stale, plan_resume
from pipeline.store.sharding import Shard, assign_shards, copies, expected_bytes

_JOB_NAME = "bonafide-features"


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to do.

    Attributes:
        params: All parameters.
        storage: Of the store.
        config: What decides the bytes of the store beside its utterances.
        shards: All shards of the store.
        resume: Which of them are due, and why.
        pending_bytes: Expected size of the records to write, in bytes.
    """

    params: Params
    storage: Storage
    config: Config
    shards: list[Shard]
    resume: ResumePlan
    pending_bytes: int

    @property
    def address(self) -> str:
        """The store's address, absolute: the workers of a cluster have another working folder."""
        return str(self.storage.root.resolve()) if isinstance(self.storage, LocalStorage) else self.storage.url

    @property
    def pending_clips(self) -> int:
        """Utterances of the shards that are due."""
        return sum(len(shard.sources) for shard in self.resume.pending)


@dataclass(frozen=True)
class FeaturesResult:
    """What a run did.

    Attributes:
        info: Content of store.json.
        rejects: Table with the columns of `REJECTS_SCHEMA`.
        kept: Shards that were already up to date.
        redone: Shards written by this run.
        counts: What the workers counted.
        seconds: Wall time.
    """

    info: dict[str, Any]
    rejects: pa.Table
    kept: int
    redone: int
    counts: Counts
    seconds: float


def plan_run(manifest: pa.Table, output: str, params: Params) -> RunPlan:
    """Compares the store at `output` with what the manifest and the parameters ask for. Changes nothing.

    Raises:
        CorpusError: The manifest has no usable audio.
        StoreError: The output holds other files than a store's.
    """
    if manifest["sha256"].null_count == manifest.num_rows:
        raise CorpusError("the manifest has no utterance with audio; check data.root and run `bonafide manifest` again")
    storage = open_storage(output)
    config = Config.current(params.features, params.augment)
    shards = assign_shards(manifest, params.store, params.features, params.augment.copies)
    resume = plan_resume(storage, shards, config)
    total = sum(expected_bytes(manifest, params.features, params.augment.copies).values())
    share_due = _count_examples(resume.pending, params) / max(1, _count_examples(shards, params))
    return RunPlan(params, storage, config, shards, resume, round(total * share_due))


def run_features(
    manifest: pa.Table,
    root: Path,
    output: str,
    params: Params,
    flags: Sequence[str],
    on_plan: Callable[[RunPlan], None] = lambda plan: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> FeaturesResult:
    """Brings the store at `output` up to date: keeps finished shards, redoes the others, closes the store.

    Args:
        manifest: Table with the columns of `MANIFEST_SCHEMA`.
        root: Folder that the manifest's paths are relative to; every worker needs it under the same path.
        output: Local folder or `s3://bucket/prefix`.
        params: All parameters.
        flags: Beam options: where the job runs, never what it computes.
        on_plan: Called once, before any work.
        on_progress: Called from another thread about twice a second while the job runs.

    Raises:
        CorpusError: The manifest has no usable audio.
        StoreError: Another run writes the store, the output holds other files than a store's, the disk is full, or too many
            utterances were rejected.
        RunnerError: The runner cannot run the job, or lost a worker.
    """
    began = time.monotonic()
    with open_storage(output).lock():
        plan = plan_run(manifest, output, params)
        name = options.job_name(flags, _JOB_NAME)
        if plan.resume.pending:
            orphaned = orphaned_job(plan.address)
            if orphaned is not None and run.cancel_orphaned_job(flags, orphaned):
                plan = plan_run(manifest, output, params)  # it may have committed more shards meanwhile
            flags = [*options.prepare(flags, plan.address), f"--job_name={name}"]
        on_plan(plan)
        storage = plan.storage
        storage.remove_leftovers()
        discard_stale(storage, plan.resume)
        counts = Counts()
        if plan.resume.pending:
            counts = _write_pending(plan, root.resolve(), name, flags, on_progress)
        else:
            discard_worklist(plan.address)
        rejects = read_rejects(storage, [shard.name for shard in plan.shards])
        require_few_rejects(rejects, manifest.num_rows, params.features.max_reject_fraction)
        info = close_store(storage, plan.shards, plan.config)
    seconds = time.monotonic() - began
    return FeaturesResult(info, rejects, len(plan.resume.kept), len(plan.resume.pending), counts, seconds)


def _count_examples(shards: Sequence[Shard], params: Params) -> int:
    return sum(len(shard.sources) * (1 + copies(shard.split, params.augment.copies)) for shard in shards)


def _write_pending(
    plan: RunPlan, root: Path, job_name: str, flags: Sequence[str], on_progress: Callable[[Progress], None]
) -> Counts:
    """Runs the job over the shards that are due; on a cluster after a check of its workers."""
    require_space(plan.storage, plan.pending_bytes)
    work = WriteShard(str(root), plan.address, plan.config, plan.params.features, plan.params.augment)
    with run.interruptible(flags), worklist(plan.address, plan.resume.pending, job_name) as tasks:
        check_workers(flags, root, plan.address, plan.params.features.kind)
        with ProgressReporter(plan.storage, plan.resume.pending, on_progress) as reporter:
            run.run(
                lambda pipeline: _build(pipeline, tasks, work),
                flags,
                lambda: shards_in_flight(plan.storage),
                reporter.take_metrics,
            )
    # A killed worker leaves an unfinished file, also if the runner then repeated its work.
    plan.storage.remove_leftovers()
    return reporter.counts


def _build(pipeline: beam.Pipeline, tasks: Sequence[ShardTask], work: WriteShard) -> None:
    (
        pipeline
        | "Shards" >> beam.Create(tasks, reshuffle=False)
        # ShardTask
        | "Spread" >> beam.Reshuffle()
        # ShardTask, on any worker
        | "WriteShard" >> beam.ParDo(work)
        # shard name
    )
