"""The features job: manifest and audio in, a complete feature store out, on any Beam runner.

One Beam element is one shard, whose utterances are in a list beside the store. A worker reads each file once, augments, extracts
and commits the shard. No audio and no spectrogram crosses the runner, so the result does not depend on the runner.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.corpus.audio_files import absolute_root
from pipeline.job.counters import Counts
from pipeline.job.limits import require_few_rejects
from pipeline.job.plan import RunPlan, plan_run
from pipeline.job.progress import Progress
from pipeline.job.shared import link_shards
from pipeline.job.worklist import discard_worklist, orphaned_job
from pipeline.params import Params
from pipeline.runners import options, run
from pipeline.storage import open_storage
from pipeline.store.close import close_store
from pipeline.store.reader import read_rejects
from pipeline.store.resume import discard_stale

_JOB_NAME = "bonafide-features"


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


def run_features(
    manifest: pa.Table,
    root: str | Path,
    output: str,
    params: Params,
    flags: Sequence[str],
    on_plan: Callable[[RunPlan], None] = lambda plan: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_runner: Callable[[str], None] = lambda runner: None,
    shared: str | None = None,
) -> FeaturesResult:
    """Brings the store at `output` up to date: keeps finished shards, redoes the others, closes the store.

    Args:
        manifest: Table with `PLANNED_COLUMNS` of a manifest at least.
        root: What the manifest's paths are relative to: a folder, under the same path on every worker, or `s3://bucket/prefix`.
        output: Local folder, or `s3://…` or `gs://…`.
        params: All parameters.
        flags: Beam options: where the job runs, never what it computes.
        on_plan: Called once, before any work.
        on_progress: Called from another thread about twice a second while the job runs.
        on_runner: Called with the runner that does the work, if that is not this machine, before the job is sent.
        shared: A local store whose shards are linked where they are the same.

    Raises:
        CorpusError: The manifest has no usable audio.
        StoreError: Another run writes the store, the output holds other files than a store's, the disk is full, or too many
            utterances were rejected.
        RunnerError: The runner cannot run the job, or lost a worker.
    """
    began = time.monotonic()
    with open_storage(output).lock():
        plan = plan_run(manifest, output, params)
        if shared and plan.resume.pending and link_shards(plan, shared):
            plan = plan_run(manifest, output, params)
        if plan.resume.pending:
            name = options.job_name(flags, _JOB_NAME)
            orphaned = orphaned_job(plan.address)
            if orphaned is not None and run.cancel_orphaned_job(flags, orphaned):
                plan = plan_run(manifest, output, params)  # it may have committed more shards meanwhile
            flags = [*options.prepare(flags, plan.address), f"--job_name={name}"]
        on_plan(plan)
        runner = options.describe_runner(flags) if plan.resume.pending else None
        if runner is not None:
            on_runner(runner)
        storage = plan.storage
        storage.remove_leftovers()
        discard_stale(storage, plan.resume)
        counts = Counts()
        if plan.resume.pending:
            from pipeline.job.execute import write_pending

            counts = write_pending(plan, absolute_root(root), name, flags, on_progress)
        else:
            discard_worklist(plan.address)
        rejects = read_rejects(storage, [shard.name for shard in plan.shards])
        require_few_rejects(rejects, manifest.num_rows, params.features.max_reject_fraction)
        info = close_store(storage, plan.shards, plan.config)
    seconds = time.monotonic() - began
    return FeaturesResult(info, rejects, len(plan.resume.kept), len(plan.resume.pending), counts, seconds)
