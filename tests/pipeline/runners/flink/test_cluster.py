"""The features job on a real Flink cluster with real worker processes: the bytes of a local run, whichever process is killed.

Jobs run by the stand-in for Beam's official runner, with the flags of the profile `flink`. One cluster serves most tests
(JobManager, two TaskManagers of one slot, each with a worker pool); processes that a test killed are started again for the next
test.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import psutil
import pytest

from pipeline.errors import RunnerError
from pipeline.job.plan import plan_run
from pipeline.job.run import run_features
from pipeline.params import load_params
from pipeline.runners.flink.rest import FlinkCluster
from pipeline.runners.profiles import pipeline_options
from pipeline.runners.run import run_preflight
from pipeline.store.verify import verify
from tests.support.batch_scores import require_the_scores_of_this_machine
from tests.support.cluster_work import REPOSITORY, SHARDS, Run, Work, committed, completes
from tests.support.flink_cluster import (
    environment_with_another_soxr,
    environment_without_the_project,
    local_cluster,
    standin_flag,
    worker_pool,
)
from tests.support.small_disk import small_disk
from tests.support.synthetic_store import files_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("flink_is_built"), pytest.mark.xdist_group("flink")]


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory, flink_is_built: None) -> Iterator[Any]:
    with local_cluster(tmp_path_factory.mktemp("flink")) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: Any) -> Any:
    """The cluster, with everything running, two free slots and no job."""
    if shared_cluster.rest("/overview").get("slots-available") != 2:
        shared_cluster.stop()
        shared_cluster.start()
    return shared_cluster


@pytest.fixture
def start(cluster: Any, work: Work) -> Iterator[Callable[..., Run]]:
    """Starts runs with `--on flink` on the cluster; kills those that a failed test left running."""
    runs: list[Run] = []

    def start(output: Path | str, *more: str) -> Run:
        flags = ["--on", "flink", "--", *cluster.beam_flags(), standin_flag(), *more]
        runs.append(Run(work.command(output, *flags)))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()


def start_until_mid_job(start: Callable[..., Run], folder: Path, *more: str) -> tuple[Run, Path]:
    """Starts a run and waits until some shards are committed and others are being written; gives the run and its store."""
    store = folder / "store"
    run = start(store, *more)
    run.wait_until_mid_job(store)
    return run, store


def jobs(cluster: Any) -> list[str]:
    return [job["state"] for job in cluster.rest("/jobs/overview").get("jobs", [])]


def has_children(pid: int) -> bool:
    return bool(psutil.Process(pid).children())


def until_workers_end(cluster: Any) -> None:
    end = time.monotonic() + 20
    while cluster.workers():
        assert time.monotonic() < end, "the workers go on"
        time.sleep(0.1)


# The same bytes


def test_two_workers_on_two_task_managers_write_the_same_bytes_as_this_machine(
    start: Callable[..., Run], cluster: Any, work: Work, tmp_path: Path
) -> None:
    status, printed = start(tmp_path / "store").end()
    assert status == 0, printed
    assert files_of(tmp_path / "store") == files_of(work.store)
    assert verify(tmp_path / "store", work.manifest) == []
    assert f"0 shards kept, {SHARDS} redone" in printed
    assert "2 workers: " in printed  # both had work
    assert re.search(r"^runner: FlinkRunner on .*, from .*/bonafide-flink-2\.2-standin\.jar$", printed, re.MULTILINE)
    assert "misspelt" not in printed
    assert "iscard" not in printed  # Beam's words for options that it does not know
    assert (
        (cluster.folder / "log" / "jobmanager.out")
        .read_text()
        .startswith("Bonafide's stand-in for Beam's Flink runner")
    )
    assert f"{SHARDS}/{SHARDS} shards" in printed
    newest = max(cluster.rest("/jobs/overview")["jobs"], key=lambda job: job["start-time"])
    assert newest["name"].startswith("bonafide-features-")
    vertices = cluster.rest(f"/jobs/{newest['jid']}")["vertices"]
    assert max(vertex["parallelism"] for vertex in vertices) == 2
    FlinkCluster(cluster.dashboard).cancel(newest["jid"])  # one that has ended is no error
    # Nothing is left to do: no job is sent.
    before = len(jobs(cluster))
    status, printed = start(tmp_path / "store").end()
    assert status == 0, printed
    assert f"{SHARDS} shards kept, 0 redone" in printed
    assert len(jobs(cluster)) == before
    assert files_of(tmp_path / "store") == files_of(work.store)


def test_an_object_store_gets_the_same_bytes_with_flags_of_the_users_own(
    s3_server: Any, s3_url: str, work: Work, tmp_path: Path
) -> None:
    # Workers inherit the environment of their pool, with the address and the keys of the object store.
    with local_cluster(tmp_path / "cluster", task_managers=1, slots=2) as cluster:
        flags = ["--", "--runner=FlinkRunner", "--flink_version=2.2", "--flink_submit_uber_jar"]
        flags += [*cluster.beam_flags(), standin_flag()]
        status, printed = Run(work.command(s3_url, *flags)).end()
        newest = max(cluster.rest("/jobs/overview")["jobs"], key=lambda job: job["start-time"])
        vertices = cluster.rest(f"/jobs/{newest['jid']}")["vertices"]
    assert status == 0, printed
    assert max(vertex["parallelism"] for vertex in vertices) == 2  # a task for each slot
    # The runner deals its stages to the workers of a TaskManager in turn, so one may get the shards of both slots.
    assert re.search(r"^(1 worker|2 workers): ", printed, re.MULTILINE)
    folder = s3_server.root_on_disk / s3_url.removeprefix(f"s3://{s3_server.bucket}/")
    assert files_of(folder) == files_of(work.store)
    assert verify(s3_url, work.manifest) == []


def test_three_task_managers_write_the_same_bytes_while_the_progress_moves(work: Work, tmp_path: Path) -> None:
    seen = []
    with local_cluster(tmp_path / "cluster", task_managers=3) as cluster:
        flags = pipeline_options("flink", [*cluster.beam_flags(), standin_flag()], None)
        result = run_features(
            work.manifest,
            work.corpus,
            str(tmp_path / "store"),
            load_params(work.params_file),
            flags,
            on_progress=seen.append,
        )
        until_workers_end(cluster)
        pools = "".join(path.read_text() for path in (cluster.folder / "log").glob("worker-pool-*.out"))
    # A worker may notice that the runner closes its connection; nothing else goes wrong in it.
    tracebacks = re.findall(r"(.*)\nTraceback", pools)
    assert [before for before in tracebacks if "data plane" not in before] == []
    assert len(tracebacks) == pools.count("Traceback")
    assert files_of(tmp_path / "store") == files_of(work.store)
    assert len(result.counts.workers) == 3
    assert [progress for progress in seen if 0 < progress.counts.shards < SHARDS]


# Killed processes


def test_a_killed_worker_is_replaced_and_what_it_had_finished_stands(
    start: Callable[..., Run], cluster: Any, work: Work, tmp_path: Path
) -> None:
    run, store = start_until_mid_job(start, tmp_path)
    finished = committed(store)
    victim = cluster.workers()[0]
    os.kill(victim, signal.SIGKILL)
    completes(run, store, work, finished, kept=0)


def test_without_the_flags_of_the_profile_a_lost_worker_fails_the_job(
    start: Callable[..., Run], cluster: Any, work: Work, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    run = start(store, "--number_of_execution_retries=-1")
    run.wait_until_mid_job(store)
    os.kill(cluster.workers()[0], signal.SIGKILL)
    status, printed = run.end()
    assert status == 1
    assert "error: " in printed
    assert "Traceback" not in printed
    finished = committed(store)
    completes(start(store), store, work, finished, kept=len(finished))


def test_a_killed_task_manager_loses_nothing_and_leaves_nothing(
    start: Callable[..., Run], cluster: Any, work: Work, tmp_path: Path
) -> None:
    # With a spare: a standalone cluster refuses a job at once while slots are missing.
    cluster.start_task_manager()
    cluster.wait_for_task_managers(3)
    run, store = start_until_mid_job(start, tmp_path, "--parallelism=2")
    finished = committed(store)
    busy = next(name for name, pid in cluster.pids.items() if name.startswith("worker-pool") and has_children(pid))
    cluster.kill(busy.replace("worker-pool", "taskmanager"))
    completes(run, store, work, finished, kept=0)
    until_workers_end(cluster)


def test_a_killed_command_leaves_a_job_that_the_next_run_ends_before_it_goes_on(
    start: Callable[..., Run], cluster: Any, work: Work, tmp_path: Path
) -> None:
    # The command is also the job server: Beam's client runs inside it. One worker, so that the job still runs at the next start.
    run, store = start_until_mid_job(start, tmp_path, "--parallelism=1")
    finished = committed(store)
    run.process.kill()
    run.process.communicate()
    assert "RUNNING" in jobs(cluster) or "RESTARTING" in jobs(cluster)
    # The job must not end before the next command has found it and asked for its end.
    workers = cluster.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    again = start(store)
    again.wait_for(lambda: not {"RUNNING", "RESTARTING"} & set(jobs(cluster)))
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    status, printed = again.end()
    assert status == 0, printed
    assert "the command that started it is gone" in printed
    assert "CANCELED" in jobs(cluster)
    assert files_of(store) == files_of(work.store)
    assert {name: committed(store)[name] for name in finished} == finished, "a finished shard was redone"
    assert not (tmp_path / ".store.work").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_cancels_the_job_and_the_next_run_goes_on(
    start: Callable[..., Run], cluster: Any, work: Work, tmp_path: Path, number: signal.Signals
) -> None:
    run, store = start_until_mid_job(start, tmp_path)
    run.process.send_signal(number)
    status, printed = run.end(60)
    assert status == 128 + number
    assert "interrupted: run the command again; finished shards are kept" in printed
    assert "Traceback" not in printed
    assert not {"RUNNING", "RESTARTING", "CANCELLING"} & set(jobs(cluster))
    until_workers_end(cluster)
    finished = committed(store)
    assert finished
    completes(start(store), store, work, finished, kept=len(finished))


def test_a_killed_job_manager_is_told_and_the_next_run_on_a_new_cluster_goes_on(
    start: Callable[..., Run], cluster: Any, work: Work, tmp_path: Path
) -> None:
    run, store = start_until_mid_job(start, tmp_path)
    cluster.kill("jobmanager")
    status, printed = run.end(90)
    assert status == 1
    assert "has not answered for 30 s" in printed
    assert "run the command again" in printed
    assert "Traceback" not in printed
    finished = committed(store)
    cluster.stop()
    cluster.start()
    completes(start(store), store, work, finished, kept=len(finished))


def test_a_job_that_fails_for_good_says_why_and_keeps_what_it_finished(
    start: Callable[..., Run], work: Work, tmp_path: Path
) -> None:
    expected = plan_run(work.manifest, str(tmp_path / "store"), load_params(work.params_file)).pending_bytes
    # Enough for the expected records, but not for the index parts too.
    with small_disk(tmp_path / "disk", f"size={expected // 1024 + 64}k") as disk:
        status, printed = start(disk / "store", "--number_of_execution_retries=1").end()
        assert status == 1
        assert "the disk is full" in printed
        assert "Traceback" not in printed
        finished = committed(disk / "store")
        assert finished
        subprocess.run(["mount", "-o", "remount,size=1g", disk], check=True)
        completes(start(disk / "store"), disk / "store", work, finished, kept=len(finished))


# Found before any work

ONE = "--parallelism=1"
"""For a single pool: TaskManagers cannot share one."""


def failed_preflight(run: Run, store: Path) -> str:
    """Waits for a run that must fail before any work; gives its error message."""
    status, printed = run.end(90)  # Flink by itself would wait for minutes
    assert status == 1, printed
    assert "Traceback" not in printed
    assert committed(store) == {}
    assert not (store.parent / f".{store.name}.work").exists()
    return printed[printed.index("error: ") :]


def namespace_with(mount: str) -> list[str]:
    """A wrapper that runs a command where something else is mounted; skips where that is not allowed."""
    wrapper = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*wrapper, "true"], check=False).returncode:
        pytest.skip("another mount namespace needs unshare and root")
    return wrapper


def test_a_folder_that_the_workers_do_not_share_is_found(start: Callable[..., Run], tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    wrapper = namespace_with(f"mount -t tmpfs tmpfs {shared}")
    with worker_pool(tmp_path, wrapper=wrapper) as address:
        run = start(shared / "store", f"--environment_config={address}", ONE)
        assert "storage not shared: the workers wrote 1 tokens" in failed_preflight(run, shared / "store")


def test_a_folder_that_the_workers_cannot_write_is_found(start: Callable[..., Run], tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    wrapper = namespace_with(f"mount --bind {shared} {shared} && mount -o remount,bind,ro {shared}")
    with worker_pool(tmp_path, wrapper=wrapper) as address:
        run = start(shared / "store", f"--environment_config={address}", ONE)
        told = failed_preflight(run, shared / "store")
    assert "storage not writable from the workers" in told
    assert "read-only" in told


def test_audio_that_the_workers_do_not_see_is_found(start: Callable[..., Run], work: Work, tmp_path: Path) -> None:
    wrapper = namespace_with(f"mount -t tmpfs tmpfs {work.corpus.parent}")
    with worker_pool(tmp_path, wrapper=wrapper) as address:
        run = start(tmp_path / "store", f"--environment_config={address}", ONE)
        assert "does not see the audio" in failed_preflight(run, tmp_path / "store")


def test_a_package_that_the_workers_lack_is_found(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    python = environment_without_the_project(tmp_path / "bare")
    with worker_pool(tmp_path, python) as address:
        run = start(tmp_path / "store", f"--environment_config={address}", ONE)
        told = failed_preflight(run, tmp_path / "store")
    assert "package missing on the workers: No module named 'pipeline' (worker on" in told


def test_another_version_on_the_workers_is_found(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = environment_with_another_soxr(tmp_path / "other")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    with worker_pool(tmp_path, python) as address:
        run = start(tmp_path / "store", f"--environment_config={address}", ONE)
        told = failed_preflight(run, tmp_path / "store")
    assert "has other versions than this command: soxr 0.0.1 instead of" in told


def test_workers_that_end_as_they_start_are_found(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The pool answers, but Flink would wait for its workers forever.
    python = environment_without_the_project(tmp_path / "broken")
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.delenv("BEAM_ARGS", raising=False)
    monkeypatch.setattr("pipeline.runners.run.PREFLIGHT_S", 10.0)
    with worker_pool(tmp_path, python.with_name("python3")) as address:
        own = [*cluster.beam_flags(), standin_flag(), f"--environment_config={address}", "--parallelism=1"]
        with pytest.raises(RunnerError, match="the workers did not start within 10 s"):
            run_preflight(lambda p: p | beam.Create([1]), pipeline_options("flink", own, None))


def test_more_workers_than_there_are_slots_is_found(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start(tmp_path / "store", "--parallelism=3")
    assert "has 2 free of 2 slots, the job needs 3" in failed_preflight(run, tmp_path / "store")


# Scores


def test_scores_of_a_corpus_are_those_of_this_machine(cluster: Any, tmp_path: Path) -> None:
    flags = pipeline_options("flink", [*cluster.beam_flags(), standin_flag()], None)
    require_the_scores_of_this_machine(tmp_path, flags)
