"""The run: brings the scores of a corpus up to date, shard by shard, and writes the score files at its end.

A stopped run goes on with the next one. Scores of another model or manifest are never mixed with these: they are refused, or
removed first where that is asked for.
"""

import contextlib
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from model.batch.exported import ExportedModel
from model.batch.score_shards import (
    BATCH_FILE,
    SHARDS_FOLDER,
    Origin,
    count_problems,
    is_scored,
    scores_path,
    split_path,
    write_split,
)
from pipeline.corpus.audio_files import absolute_root
from pipeline.corpus.places import CorpusPath
from pipeline.corpus.schema import SPLITS
from pipeline.errors import CorpusError, StoreError
from pipeline.job.worklist import discard_worklist, orphaned_job, work_folder, worklist
from pipeline.runners import options, run
from pipeline.storage import LocalStorage, Storage, open_storage
from pipeline.store.digests import digest
from pipeline.store.sharding import Shard, group_by_shard

CLIPS_PER_SHARD: Final = 500
_JOB_NAME: Final = "bonafide-batch"
_POLL_S: Final = 1.0


@dataclass(frozen=True)
class BatchPlan:
    """What a run is going to do.

    Attributes:
        shards: All that have utterances.
        pending: Those without scores.
    """

    shards: list[Shard]
    pending: list[Shard]

    @property
    def pending_clips(self) -> int:
        """Utterances of the shards to score."""
        return sum(len(shard.sources) for shard in self.pending)


@dataclass(frozen=True)
class BatchResult:
    """What a run did.

    Attributes:
        files: Addresses of the score files.
        n_clips: Utterances of the corpus.
        problems: Those without a score, by reason.
        kept: Shards that had their scores already.
        scored: Shards that this run scored.
        seconds: Wall time.
    """

    files: list[str]
    n_clips: int
    problems: Counter[str]
    kept: int
    scored: int
    seconds: float


def run_batch(
    manifest: pa.Table,
    root: str | CorpusPath,
    model: ExportedModel,
    output: str,
    flags: Sequence[str],
    *,
    anew: bool = False,
    clips_per_shard: int = CLIPS_PER_SHARD,
    on_plan: Callable[[BatchPlan], None] = lambda plan: None,
    on_progress: Callable[[int], None] = lambda clips: None,
) -> BatchResult:
    """Scores every utterance of a manifest that has no score yet.

    Args:
        manifest: Table with the columns of `MANIFEST_SCHEMA`.
        root: What its paths are relative to.
        model: The detector.
        output: Local folder or address of an object store.
        flags: Beam options: where the job runs, never what it computes.
        anew: Whether scores of another model or manifest are removed; otherwise they are an error.
        clips_per_shard: Utterances of a shard, on average.
        on_plan: Called before any work.
        on_progress: Called from another thread, about once a second, with the number of clips whose shards are finished.

    Raises:
        CorpusError: The manifest is empty.
        StoreError: Another run writes the output, it holds other files than scores, or scores of another model or manifest.
        RunnerError: The runner cannot run the job, or lost a worker.
    """
    began = time.monotonic()
    if not manifest.num_rows:
        raise CorpusError("the manifest has no utterance to score")
    storage = open_storage(output)
    with storage.lock():
        address = str(storage.root.resolve()) if isinstance(storage, LocalStorage) else storage.url
        shards = _shards(manifest, clips_per_shard)
        origins = {shard.name: Origin.of(model.sha256, shard) for shard in shards}
        _claim(storage, {"model": model.sha256, "utterances": digest([o.utterances for o in origins.values()])}, anew)
        storage.remove_leftovers()
        plan = BatchPlan(shards, [shard for shard in shards if not is_scored(storage, shard.name, origins[shard.name])])
        on_plan(plan)
        if plan.pending:
            with _progress(storage, plan.pending, on_progress):
                _score(plan, absolute_root(root), address, model, flags)
        else:
            discard_worklist(address)
        files = _write_splits(storage, shards)
        problems = count_problems(storage, [shard.name for shard in shards])
    seconds = time.monotonic() - began
    n_pending = len(plan.pending)
    return BatchResult(files, manifest.num_rows, problems, len(shards) - n_pending, n_pending, seconds)


@contextlib.contextmanager
def _progress(storage: Storage, pending: Sequence[Shard], on_progress: Callable[[int], None]) -> Iterator[None]:
    """Counts the finished shards from a thread of its own while the block runs."""
    clips = {scores_path(shard.name): len(shard.sources) for shard in pending}
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(_POLL_S):
            # Progress is best effort: storage errors surface where shards are written.
            with contextlib.suppress(StoreError):
                on_progress(sum(clips.get(name, 0) for name in storage.list(f"{SHARDS_FOLDER}/")))

    thread = threading.Thread(target=report, name="batch-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _shards(manifest: pa.Table, clips_per_shard: int) -> list[Shard]:
    counts = {split: pc.sum(pc.equal(manifest["split"], split)).as_py() for split in SPLITS}
    shards = group_by_shard(
        manifest, {split: max(1, math.ceil(count / clips_per_shard)) for split, count in counts.items()}
    )
    return [shard for shard in shards if len(shard.sources)]


def _claim(storage: Storage, of: dict[str, str], anew: bool) -> None:
    """Makes the output that of this model and manifest."""
    names = storage.list()
    ours = [name for name in names if name == BATCH_FILE or name in map(split_path, SPLITS) or _is_shard(name)]
    if len(ours) < len(names):
        other = min(set(names) - set(ours))
        raise StoreError(f"{storage.url} holds other files than scores, such as {other}; give another folder")
    if names and (found := _claimed(storage)) != of:
        which = " and another ".join(name for key, name in _NAMES.items() if found.get(key) != of[key])
        if not anew:
            raise StoreError(
                f"{storage.url} holds scores of another {which}; give another --output, or --anew to remove them and score again"
            )
        # First what makes the others count.
        for name in sorted(ours, key=lambda name: name != BATCH_FILE):
            storage.delete(name)
    storage.write(BATCH_FILE, json.dumps(of, indent=2, sort_keys=True).encode())


_NAMES: Final = {"model": "model", "utterances": "manifest"}


def _is_shard(name: str) -> bool:
    return name.startswith(f"{SHARDS_FOLDER}/") and name.endswith(".parquet")


def _claimed(storage: Storage) -> dict[str, Any]:
    try:
        found = json.loads(storage.read(BATCH_FILE))
    except (StoreError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _score(plan: BatchPlan, root: str, address: str, model: ExportedModel, flags: Sequence[str]) -> None:
    """Runs the job over the shards without scores; on a cluster after a check of its workers."""
    import apache_beam as beam
    from apache_beam.ml.inference.base import RunInference

    from model.batch.worker import MODEL_NAME, BatchJob, ShardScorer, WriteScores, installed_runtime
    from pipeline.job.worker_check import check_workers

    name = options.job_name(flags, _JOB_NAME)
    if (orphaned := orphaned_job(address)) is not None:
        run.cancel_orphaned_job(flags, orphaned)
    flags = [*options.prepare(flags, address), f"--job_name={name}"]
    job = BatchJob(root, address, model.sha256, model.clips, installed_runtime())
    storage = open_storage(address)
    with run.interruptible(flags), worklist(address, plan.pending, name) as tasks:
        check_workers(flags, root, address, model.front_end)
        work_folder(address).write(MODEL_NAME, model.data)

        def build(pipeline: beam.Pipeline) -> None:
            (
                pipeline
                | "Shards" >> beam.Create(tasks, reshuffle=False)
                # ShardTask
                | "Spread" >> beam.Reshuffle()
                # ShardTask, on any worker
                | "Score" >> RunInference(ShardScorer(job))
                # ScoredShard
                | "WriteScores" >> beam.ParDo(WriteScores(address))
                # shard name
            )

        run.run(build, flags, lambda: sorted(name.rpartition("/")[2] for name in storage.leftovers()))
    missing = [shard.name for shard in plan.pending if not storage.exists(scores_path(shard.name))]
    if missing:
        raise StoreError(f"{address}: the job ended without the scores of {len(missing)} shards, such as {missing[0]}")


def _write_splits(storage: Storage, shards: Sequence[Shard]) -> list[str]:
    written = []
    for split in SPLITS:
        names = [shard.name for shard in shards if shard.split == split]
        if names:
            write_split(storage, split, names)
            written.append(storage.url_of(split_path(split)))
    return written
