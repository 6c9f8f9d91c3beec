"""The preflight of a cluster's workers, with workers of this process in place of a cluster's."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal import pickler

from pipeline.errors import RunnerError
from pipeline.job.worker import WriteShard
from pipeline.job.worker_check import check_workers
from pipeline.job.worklist import work_folder
from pipeline.params import load_params
from pipeline.runners.run import run
from pipeline.store.lineage import Config, installed_versions

FLAGS = ["--runner=FlinkRunner", "--parallelism=3"]

Build = Callable[[beam.Pipeline], None]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Build], None]], None]:
    """Puts something else in place of the cluster that runs the preflight."""

    def replace(run_there: Callable[[Build], None]) -> None:
        monkeypatch.setattr("pipeline.job.worker_check.run_preflight", lambda build, flags: run_there(build))

    return replace


def run_here(build: Build) -> None:
    run(build, ["--runner=FnApiRunner"], list)


def test_every_worker_of_a_cluster_that_has_all_it_needs_writes_a_token(
    cluster: Callable[..., None], tmp_path: Path
) -> None:
    cluster(run_here)
    check_workers(FLAGS, str(tmp_path), str(tmp_path / "store"), "log_mel")
    assert len(list(work_folder(str(tmp_path / "store")).list("preflight/"))) == 3


@pytest.mark.parametrize("runner", ["SparkRunner", "PortableRunner", "PrismRunner"])
def test_the_workers_of_every_portable_runner_are_probed(
    cluster: Callable[..., None], tmp_path: Path, runner: str
) -> None:
    cluster(run_here)
    check_workers(
        [f"--runner={runner}", "--sdk_worker_parallelism=6"], str(tmp_path), str(tmp_path / "store"), "log_mel"
    )
    assert len(list(work_folder(str(tmp_path / "store")).list("preflight/"))) == 6


# Dataflow's workers start in minutes, and only for the job itself.
@pytest.mark.parametrize("runner", ["FnApiRunner", "DataflowRunner"])
def test_a_run_on_this_machine_or_dataflow_has_no_preflight(
    cluster: Callable[..., None], tmp_path: Path, runner: str
) -> None:
    cluster(lambda build: pytest.fail("a job was sent"))
    check_workers([f"--runner={runner}"], tmp_path, str(tmp_path / "store"), "log_mel")
    assert list(tmp_path.iterdir()) == []


def test_workers_that_write_elsewhere_are_found(cluster: Callable[..., None], tmp_path: Path) -> None:
    cluster(lambda build: None)
    with pytest.raises(RunnerError, match=r"storage not shared: the workers wrote 3 tokens .* 0 of them are seen"):
        check_workers(FLAGS, str(tmp_path), str(tmp_path / "store"), "log_mel")


def test_workers_that_do_not_see_the_audio_are_found(cluster: Callable[..., None], tmp_path: Path) -> None:
    cluster(run_here)
    with pytest.raises(RunnerError, match=f"does not see the audio in {tmp_path}/LA; mount that folder"):
        check_workers(FLAGS, tmp_path / "LA", str(tmp_path / "store"), "log_mel")


def test_workers_with_other_versions_are_found(
    cluster: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster(run_here)
    monkeypatch.setattr("pipeline.job.worker_check.installed_versions", lambda kind, libraries: {"numba": "0.0.1"})
    with pytest.raises(RunnerError, match=r"has other versions than this command: numba .* instead of 0\.0\.1"):
        check_workers(FLAGS, str(tmp_path), str(tmp_path / "store"), "log_mel")


def test_workers_without_a_package_of_the_augmentation_are_found(
    cluster: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster(run_here)
    installed = installed_versions("log_mel")
    monkeypatch.setattr(
        "pipeline.job.worker_check.installed_versions", lambda kind, libraries: installed | {"absent": "1"}
    )
    with pytest.raises(RunnerError, match=r"other versions than this command: absent None instead of 1;"):
        check_workers(FLAGS, str(tmp_path), str(tmp_path / "store"), "log_mel", ("absent",))


def test_a_worker_that_comes_after_the_preflight_refuses_to_work_with_other_versions(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = load_params(repository / "params.yaml")
    config = Config.current(params.features, params.augment)
    work = WriteShard(str(tmp_path), str(tmp_path / "store"), config, params.features, params.augment)
    other = {**config.versions, "numba": "0.0.1"}
    monkeypatch.setattr("pipeline.job.worker.installed_versions", lambda kind, libraries: other)
    with pytest.raises(
        RunnerError, match=r"the worker on .* has other versions than this command: numba 0\.0\.1 instead of"
    ):
        work.setup()


WORKER_WITHOUT_THE_PACKAGE = """
import sys
from pathlib import Path
from apache_beam.internal import pickler
sys.modules["pipeline"] = None  # as if it were not installed
work = pickler.loads(Path(sys.argv[1]).read_bytes())
try:
    list(work.process(0))
except ImportError as error:
    print(error)
"""


def test_a_worker_that_lacks_the_package_can_still_say_so(cluster: Callable[..., None], tmp_path: Path) -> None:
    def save(build: Build) -> None:
        pipeline = beam.Pipeline(runner="FnApiRunner")
        build(pipeline)
        found: list[Any] = []

        class Collect(beam.pipeline.PipelineVisitor):  # type: ignore[misc]
            def visit_transform(self, node: Any) -> None:
                if isinstance(node.transform, beam.ParDo) and "token" in type(node.transform.fn).__name__.lower():
                    found.append(node.transform.fn)

        pipeline.visit(Collect())
        (tmp_path / "work").write_bytes(pickler.dumps(found[0]))

    cluster(save)
    with pytest.raises(RunnerError, match="storage not shared"):
        check_workers(FLAGS, str(tmp_path), str(tmp_path / "store"), "log_mel")
    child = [sys.executable, "-c", WORKER_WITHOUT_THE_PACKAGE, str(tmp_path / "work")]
    done = subprocess.run(child, capture_output=True, text=True, check=True, timeout=60)
    assert "pipeline" in done.stdout
    assert "(worker on " in done.stdout
