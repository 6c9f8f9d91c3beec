"""The features job: manifest and audio in, a complete feature store out, on any Beam runner.

One Beam element is one shard, whose utterances stand in a list beside the store. A worker reads each file once, augments,
extracts and commits the shard; no audio and no spectrogram ever crosses the runner, so the result does not depend on it.
"""

import itertools
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa

from pipeline.corpus.schema import SPLITS
from pipeline.errors import CorpusError, StoreError
from pipeline.job.worker import Extractor, WriteShard
from pipeline.job.worker_check import probe_workers
from pipeline.job.worklist import ShardTask, discard_worklist, forsaken_job, worklist
from pipeline.params import Params
from pipeline.runners import run as runners
from pipeline.runners.counters import Counts
from pipeline.storage import LocalStorage, Storage
from pipeline.store.lineage import Config
from pipeline.store.reader import read_rejects
from pipeline.store.resume import Standing, sweep, take_stock
from pipeline.store.schema import INDEX_FOLDER, index_path
from pipeline.store.sharding import Shard, copies, expected_bytes, plan_shards
from pipeline.store.writer import close_store

_POLL_S = 0.5


@dataclass(frozen=True)
class Plan:
    """What a run is going to do.

    Attributes:
        shards: All shards of the store.
        standing: Which of them are due, and why.
        pending_bytes: Expected size of what is written, in bytes.
    """

    storage: Storage
    config: Config
    shards: list[Shard]
    standing: Standing
    pending_bytes: int

    @property
    def pending_clips(self) -> int:
        """Utterances of the shards that are due."""
        return sum(len(shard.sources) for shard in self.standing.pending)


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: What its workers did since it began; no rejects and workers where the runner tells them at the end alone.
        total_shards: Shards that were due.
        total_clips: Utterances in them.
    """

    done: Counts
    total_shards: int
    total_clips: int


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        info: Content of store.json.
        rejects: Table with the columns of `REJECTS_SCHEMA`.
        kept: Shards that were already as they should be.
        redone: Shards written by this run.
        done: What the workers counted.
        seconds: Wall time.
    """

    info: dict[str, Any]
    rejects: pa.Table
    kept: int
    redone: int
    done: Counts
    seconds: float


def plan_run(manifest: pa.Table, output: str, params: Params) -> Plan:
    """Compares the store at `output` with what the manifest and the parameters ask for. Changes nothing.

    Raises:
        CorpusError: The manifest has no usable audio.
        StoreError: The output holds other files than a store's.
    """
    if manifest["sha256"].null_count == manifest.num_rows:
        raise CorpusError("the manifest has no utterance with audio; check data.root and run `bonafide manifest` again")
    storage = Storage.open(output)
    config = Config.current(params.features, params.augment)
    shards = plan_shards(manifest, params.store, params.features, params.augment)
    standing = take_stock(storage, shards, config)
    total = sum(expected_bytes(manifest, params.features, params.augment).values())
    due = sum(len(shard.sources) * (1 + copies(shard.split, params.augment)) for shard in standing.pending)
    whole = sum(len(shard.sources) * (1 + copies(shard.split, params.augment)) for shard in shards)
    return Plan(storage, config, shards, standing, round(total * due / max(1, whole)))


def run_features(
    manifest: pa.Table,
    root: Path,
    output: str,
    params: Params,
    flags: Sequence[str],
    on_plan: Callable[[Plan], None] = lambda plan: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Brings the store at `output` up to date: keeps finished shards, redoes the others, closes the store.

    Args:
        manifest: Table with the columns of `MANIFEST_SCHEMA`.
        root: Folder that the manifest's paths are relative to; workers need to see it under the same path.
        output: Local folder or `s3://bucket/prefix`.
        params: All parameters.
        flags: Beam options; say where the job runs, never what it computes.
        on_plan: Called once, before any work.
        on_progress: Called from another thread about twice a second while the job runs.

    Raises:
        StoreError: Another run writes the store, the disk is full, or too many utterances were rejected.
        RunnerError: The runner cannot run the job, or lost a worker.
    """
    began = time.monotonic()
    with Storage.open(output).lock():
        plan = plan_run(manifest, output, params)
        storage = plan.storage
        # Workers of a cluster have another working folder.
        where = str(storage.root.resolve()) if isinstance(storage, LocalStorage) else storage.url
        name = runners.job_name(flags)
        if plan.standing.pending:
            forsaken = forsaken_job(where)
            if forsaken is not None and runners.cancel_forsaken(flags, forsaken):
                plan = plan_run(manifest, output, params)  # it may have finished some more
            flags = [*runners.prepare(flags, where), f"--job_name={name}"]
        on_plan(plan)
        storage.sweep()
        sweep(storage, plan.standing)
        done = Counts()
        if plan.standing.pending:
            done = _write_pending(plan, root.resolve(), where, params, name, flags, on_progress)
        else:
            discard_worklist(where)
        rejects = read_rejects(storage, [shard.name for shard in plan.shards])
        require_few_rejects(rejects, manifest.num_rows, params.features.max_reject_fraction)
        info = close_store(storage, plan.shards, plan.config)
    seconds = time.monotonic() - began
    return Outcome(info, rejects, len(plan.standing.kept), len(plan.standing.pending), done, seconds)


def _write_pending(
    plan: Plan,
    root: Path,
    where: str,
    params: Params,
    job_name: str,
    flags: Sequence[str],
    on_progress: Callable[[Progress], None],
) -> Counts:
    """Runs the job over the shards that are due, on a cluster after a probe of its workers."""
    _require_space(plan)
    tasks = runners.cluster_tasks(flags)
    work = WriteShard(str(root), where, plan.config, params.features, params.augment)
    with runners.interruptible(flags), worklist(where, plan.standing.pending, job_name) as elements:
        if tasks:
            probe_workers(lambda build: runners.try_out(build, flags), tasks, root, where, params.features.kind)
        with _Reporter(plan, on_progress) as reporter:
            runners.run(
                lambda p: _build(p, elements, work), flags, lambda: in_flight(plan.storage), reporter.take_counts
            )
    # A runner that retried may have left a killed worker's unfinished file.
    plan.storage.sweep()
    return reporter.counts


def expected_seconds(plan: Plan, root: Path, params: Params, budget_s: float = 3.0) -> float:
    """Expected time of a run on one core, from extracting a few of its clips for about `budget_s` seconds.

    Whole shards shrunk to a few utterances are extracted, copies included, so the time per utterance is that of the job.
    """
    extract = Extractor(root, params.features, params.augment)
    shards = [replace(shard, sources=shard.sources[:4]) for shard in plan.standing.pending if shard.sources]
    spent = dict.fromkeys(SPLITS, 0.0)
    timed = dict.fromkeys(SPLITS, 0)
    if shards:
        list(extract(shards[0]))  # compiles and warms up
    # From both ends of the list in turn, so that train and the other splits are both measured.
    for shard in itertools.chain.from_iterable(zip(shards, reversed(shards), strict=True)):
        began = time.perf_counter()
        list(extract(shard))
        spent[shard.split] += time.perf_counter() - began
        timed[shard.split] += len(shard.sources)
        if sum(spent.values()) > budget_s:
            break
    overall = sum(spent.values()) / max(1, sum(timed.values()))
    rates = {split: spent[split] / timed[split] if timed[split] else overall for split in SPLITS}
    return sum(rates[shard.split] * len(shard.sources) for shard in plan.standing.pending)


def in_flight(storage: Storage) -> list[str]:
    """Names of the shards whose records are open under a temporary name right now; none on an object store."""
    names = (name.rpartition("/")[2].lstrip(".").partition(".")[0] for name in storage.leftovers())
    return sorted(set(names))


def require_few_rejects(rejects: pa.Table, utterances: int, limit: float) -> None:
    """Fails above a share of rejects.

    Raises:
        StoreError: Lists the reasons per class.
    """
    if rejects.num_rows <= limit * utterances:
        return
    listed = "\n".join(
        f"  {count:6d}  {reason} ({label})" for (reason, label), count in sorted(count_rejects(rejects).items())
    )
    first = rejects.slice(0, 1).to_pylist()[0]
    raise StoreError(
        f"{rejects.num_rows} of {utterances} utterances were rejected, more than features.max_reject_fraction {limit} allows\n"
        f"{listed}\n  the first: {first['utterance_id']}, {first['path']}: {first['reason']}, {first['detail']}\n"
        "repair the files, or raise the limit if these are meant to be left out; finished shards are kept"
    )


def count_rejects(rejects: pa.Table) -> dict[tuple[str, str], int]:
    """Counts rejects by (reason, class), class being "bona fide", "spoof" or "unlabelled"."""
    names = {1: "bona fide", 0: "spoof", None: "unlabelled"}
    counts: dict[tuple[str, str], int] = {}
    for reason, label in zip(rejects["reason"].to_pylist(), rejects["label"].to_pylist(), strict=True):
        counts[reason, names[label]] = counts.get((reason, names[label]), 0) + 1
    return counts


def _build(pipeline: beam.Pipeline, elements: Sequence[ShardTask], work: WriteShard) -> None:
    (
        pipeline
        | "Shards" >> beam.Create(elements, reshuffle=False)
        # ShardTask
        | "Spread" >> beam.Reshuffle()
        # ShardTask, on any worker
        | "WriteShard" >> beam.ParDo(work)
        # shard name
    )


def _require_space(plan: Plan) -> None:
    """Refuses to begin what the disk cannot hold."""
    if not isinstance(plan.storage, LocalStorage):
        return
    folder = plan.storage.root.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if plan.pending_bytes > free:
        raise StoreError(
            f"{plan.storage.url} needs about {plan.pending_bytes / 2**30:.1f} GiB, the disk has {free / 2**30:.1f} GiB free; "
            "make room or name another folder with --output"
        )


class _Reporter:
    """Reports progress twice a second: the workers' counts where the runner tells them live, else from the index parts."""

    def __init__(self, plan: Plan, on_progress: Callable[[Progress], None]) -> None:
        self.counts = Counts()
        self._storage = plan.storage
        self._clips = {index_path(shard.name): len(shard.sources) for shard in plan.standing.pending}
        self._on_progress = on_progress
        self._is_told = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._report, name="features-progress", daemon=True)

    def take_counts(self, counts: Counts) -> None:
        """Takes what the runner tells, from any thread."""
        self.counts = counts
        self._is_told = True

    def __enter__(self) -> "_Reporter":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _report(self) -> None:
        while True:
            ended = self._stop.wait(_POLL_S)
            # A storage that does not answer is for those who need it to tell.
            with suppress(StoreError):
                done = self.counts if self._is_told else self._committed()
                self._on_progress(Progress(done, len(self._clips), sum(self._clips.values())))
            if ended:
                return

    def _committed(self) -> Counts:
        parts = [name for name in self._storage.list(f"{INDEX_FOLDER}/") if name in self._clips]
        return Counts(shards=len(parts), clips=sum(self._clips[name] for name in parts))
