"""The features job on Prism, Beam's own portable runner, with workers of a pool: the bytes of a local run, or a clear error."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import psutil
import pytest

from pipeline.errors import StoreError
from pipeline.runners.run import run
from tests.support.batch_scores import require_the_scores_of_this_machine
from tests.support.cluster_work import REPOSITORY, SHARDS, Run, Work, committed, completes
from tests.support.flink_cluster import environment_with_another_soxr, worker_pool
from tests.support.prism import endpoint
from tests.support.synthetic_store import files_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prism")]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with worker_pool(tmp_path_factory.mktemp("pool")) as address:
        yield address


@pytest.fixture
def flags(prism: Path, pool: str) -> list[str]:
    return [
        "--runner=PrismRunner",
        f"--prism_location={prism}",
        "--environment_type=EXTERNAL",
        f"--environment_config={pool}",
    ]


def workers_of(pool: str) -> list[int]:
    """Process ids of the workers that the pool at an address has started."""
    port = pool.rpartition(":")[2]
    return [
        child.pid
        for process in psutil.Process().children()
        if f"--port={port}" in process.cmdline()
        for child in process.children()
        if child.status() != psutil.STATUS_ZOMBIE
    ]


def test_an_endpoint_of_prism_gets_the_bytes_of_this_machine(
    prism: Path, pool: str, work: Work, tmp_path: Path
) -> None:
    with endpoint(prism, tmp_path) as address:
        flags = ["--runner=PortableRunner", f"--job_endpoint={address}"]
        flags += ["--environment_type=EXTERNAL", f"--environment_config={pool}"]
        status, printed = Run(work.command(tmp_path / "store", "--", *flags)).end()
    assert status == 0, printed
    assert f"runner: PortableRunner at {address}" in printed
    assert f"0 shards kept, {SHARDS} redone" in printed
    assert "1 worker: " in printed  # its metrics are read
    assert files_of(tmp_path / "store") == files_of(work.store)


def test_a_killed_worker_fails_the_job_and_the_next_run_goes_on(
    flags: list[str], pool: str, work: Work, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    first = Run(work.command(store, "--", *flags))
    first.wait_until_mid_job(store)
    os.kill(workers_of(pool)[-1], signal.SIGKILL)
    status, printed = first.end(60)
    assert status == 1, printed
    assert "error: a worker process ended during the run. Finished work is kept: run the command again" in printed
    assert "Traceback" not in printed
    finished = committed(store)
    assert finished
    completes(Run(work.command(store, "--", *flags)), store, work, finished, kept=len(finished))


def test_a_failing_element_ends_the_job_with_the_workers_own_error(flags: list[str]) -> None:
    def fail(element: int) -> int:  # goes to the worker by value
        if element == 2:
            raise StoreError("the element 2 is refused")
        return element

    with pytest.raises(StoreError, match=r"^the element 2 is refused$"):
        run(lambda p: p | beam.Create([1, 2, 3]) | beam.Map(fail), flags, list)


def test_workers_with_another_version_are_refused(
    flags: list[str], work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = environment_with_another_soxr(tmp_path / "other")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    with worker_pool(tmp_path, python) as address:
        status, printed = Run(work.command(tmp_path / "store", "--", *flags, f"--environment_config={address}")).end(90)
    assert status == 1, printed
    assert "has other versions than this command: soxr 0.0.1 instead of" in printed
    assert committed(tmp_path / "store") == {}


def test_scores_of_a_corpus_are_those_of_this_machine(flags: list[str], tmp_path: Path) -> None:
    require_the_scores_of_this_machine(tmp_path, flags)
