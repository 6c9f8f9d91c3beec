"""The Beam job: writes the shards that are due, on any runner.

Imported only when shards are due: Beam, and the code that runs on a worker, take seconds to import.
"""

from collections.abc import Callable, Sequence

import apache_beam as beam

from pipeline.job.counters import Counts
from pipeline.job.limits import require_space
from pipeline.job.plan import RunPlan
from pipeline.job.progress import Progress, ProgressReporter, work_in_flight
from pipeline.job.worker import WriteShard
from pipeline.job.worker_check import check_workers
from pipeline.job.worklist import ShardTask, worklist
from pipeline.runners import run
from pipeline.runners.options import is_local


def write_pending(
    plan: RunPlan, root: str, job_name: str, flags: Sequence[str], on_progress: Callable[[Progress], None]
) -> Counts:
    """Runs the job over the shards that are due; on a cluster after a check of its workers.

    Args:
        plan: Of the run. The caller has locked the store.
        root: Absolute path of the folder of the audio, or its address in an object store.
        job_name: Unique name of the job.
        flags: Beam flags, as `pipeline.runners.options.prepare` gives them.
        on_progress: As for `pipeline.job.run.run_features`.

    Returns:
        What the workers counted.

    Raises:
        StoreError: The disk is full or the worklist cannot be written.
        RunnerError: The runner cannot run the job, or lost a worker.
    """
    require_space(plan.storage, plan.pending_bytes)
    params = plan.params
    # A local worker that runs out of memory is killed without a word.
    marks_clips = is_local(flags)
    work = WriteShard(root, plan.address, plan.config, params.features, params.augment, marks_clips=marks_clips)
    with run.interruptible(flags), worklist(plan.address, plan.resume.pending, job_name) as tasks:
        check_workers(flags, root, plan.address, plan.params.features.kind, plan.params.augment.libraries)
        with ProgressReporter(plan.storage, plan.resume.pending, on_progress) as reporter:
            try:
                run.run(
                    lambda pipeline: _build(pipeline, tasks, work),
                    flags,
                    lambda: work_in_flight(plan.storage, plan.address),
                    reporter.take_metrics,
                )
            except KeyboardInterrupt:
                if is_local(flags):  # on a cluster, workers may still be writing
                    plan.storage.remove_leftovers()
                raise
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
