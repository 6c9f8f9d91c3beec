"""Options of the runner profiles, and what the pre-flight check finds before a job starts."""

import json
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RunnerError, StoreError
from pipeline.runners import run as runners

OVERVIEW = {"flink-version": "2.2.1", "slots-total": 3, "slots-available": 2, "taskmanagers": 2}
TASK_MANAGERS = {"taskmanagers": [{"slotsNumber": 1}, {"slotsNumber": 2}]}


@pytest.fixture(autouse=True)
def _no_beam_args(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEAM_ARGS", raising=False)


@pytest.fixture
def pool() -> Iterator[str]:
    """The address of something that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def flink() -> Iterator[Callable[..., str]]:
    """Makes REST interfaces that answer `/overview` as told, and a few more; gives their addresses."""
    servers = []

    def serve(**changes: Any) -> str:
        answers = {"/overview": {**OVERVIEW, **changes}, "/taskmanagers": TASK_MANAGERS}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path in answers else 404)
                self.end_headers()
                self.wfile.write(json.dumps(answers.get(self.path, {})).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def prepare_flink(master: str, pool: str, *more: str) -> list[str]:
    flags = ["--runner=FlinkRunner", f"--flink_master={master}", "--environment_type=EXTERNAL"]
    return runners.prepare([*flags, f"--environment_config={pool}", *more], "s3://bucket/store")


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_local_profile_asks_for_as_many_worker_processes_as_cores() -> None:
    flags = runners.pipeline_options("local", [], 3)
    assert "--runner=FnApiRunner" in flags
    assert "--direct_running_mode=multi_processing" in flags
    assert "--direct_num_workers=3" in flags


@pytest.mark.parametrize("profile", runners.PROFILES)
def test_every_profile_names_a_runner_that_is_not_refused(profile: str) -> None:
    flags = runners.pipeline_options(profile, [], None)
    assert sum(flag.startswith("--runner=") for flag in flags) == 1


def test_later_flags_win_over_the_environment_and_the_environment_over_the_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

    def workers(extra: list[str]) -> int:
        options = PipelineOptions(runners.pipeline_options("local", extra, 2))
        return int(options.view_as(DirectOptions).direct_num_workers)

    assert workers([]) == 2
    monkeypatch.setenv("BEAM_ARGS", "--direct_num_workers=5 --job_name='two words'")
    assert workers([]) == 5
    assert workers(["--direct_num_workers=7"]) == 7


def test_a_runner_of_the_users_own_replaces_the_profile() -> None:
    assert runners.pipeline_options("local", ["--runner=FlinkRunner", "--parallelism=4"], 2) == [
        "--runner=FlinkRunner",
        "--parallelism=4",
    ]


def test_unreadable_beam_args_and_unknown_profiles_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunnerError, match="no runner profile 'moon'; there are: local, flink"):
        runners.pipeline_options("moon", [], None)
    monkeypatch.setenv("BEAM_ARGS", "--job_name='open")
    with pytest.raises(RunnerError, match="BEAM_ARGS"):
        runners.pipeline_options("local", [], None)


@pytest.mark.parametrize(
    ("runner", "reason"),
    [
        ("DaskRunner", "drops elements"),
        ("apache_beam.runners.dask.dask_runner.DaskRunner", "drops elements"),
        ("DirectRunner", "downloads Prism"),
        ("PrismRunner", "downloaded"),
    ],
)
def test_runners_that_lose_data_or_change_under_the_user_are_refused_with_the_reason(runner: str, reason: str) -> None:
    with pytest.raises(RunnerError, match=f"{runner} is refused: .*{reason}"):
        runners.prepare([f"--runner={runner}"], "data/features")


def test_local_flags_stay_as_they_are() -> None:
    flags = runners.pipeline_options("local", [], 1)
    assert runners.prepare(flags, "data/features") == flags


def test_an_unreachable_cluster_is_found(pool: str) -> None:
    master = closed_port()
    with pytest.raises(RunnerError, match=rf"answers at http://{master} \(Connection refused\).*--flink_master"):
        prepare_flink(master, pool)


def test_something_else_than_flink_is_found(flink: Callable[..., str], pool: str) -> None:
    with pytest.raises(RunnerError, match="is no Flink cluster"):
        prepare_flink(flink(**{"slots-total": None}), pool)


def test_another_version_than_the_clusters_is_found(flink: Callable[..., str], pool: str) -> None:
    with pytest.raises(RunnerError, match=r"runs Flink 1\.20\.1, the job asks for 2\.2: give --flink_version=1\.20"):
        prepare_flink(flink(**{"flink-version": "1.20.1"}), pool)


def test_a_job_server_jar_for_another_version_or_none_at_all_is_found(
    flink: Callable[..., str], pool: str, tmp_path: Path
) -> None:
    master = flink()
    jar = tmp_path / "beam-runners-flink-1.20-job-server-2.77.0.jar"
    with pytest.raises(RunnerError, match="there is no job server jar at"):
        prepare_flink(master, pool, f"--flink_job_server_jar={jar}")
    jar.write_text("not a jar")
    with pytest.raises(RunnerError, match="there is no job server jar at"):
        prepare_flink(master, pool, f"--flink_job_server_jar={jar}")
    with zipfile.ZipFile(jar, "w"):
        pass
    with pytest.raises(RunnerError, match=r"is for Flink 1\.20, but the cluster runs 2\.2\.1"):
        prepare_flink(master, pool, f"--flink_job_server_jar={jar}")


def test_missing_slots_are_found(flink: Callable[..., str], pool: str) -> None:
    with pytest.raises(RunnerError, match="has no TaskManagers"):
        prepare_flink(flink(**{"slots-total": 0, "slots-available": 0}), pool)
    with pytest.raises(RunnerError, match="1 free of 3 slots, the job needs 2"):
        prepare_flink(flink(**{"slots-available": 1}), pool, "--parallelism=2")
    prepare_flink(flink(**{"slots-available": 1}), pool, "--parallelism=1")


def test_all_free_slots_are_used_each_by_a_worker_of_its_own_unless_told_otherwise(
    flink: Callable[..., str], pool: str
) -> None:
    def parallel(*more: str) -> list[str]:
        return [flag for flag in prepare_flink(flink(), pool, *more) if "parallelism" in flag]

    assert parallel() == ["--parallelism=2", "--sdk_worker_parallelism=2"]
    own = ["--parallelism=1", "--sdk_worker_parallelism=1"]
    assert parallel(*own) == own


def test_a_cluster_without_an_environment_type_would_mean_docker(flink: Callable[..., str]) -> None:
    with pytest.raises(RunnerError, match="Docker"):
        runners.prepare(["--runner=FlinkRunner", f"--flink_master={flink()}"], "s3://bucket/store")


def test_another_environment_than_a_pool_does_not_get_the_address_of_one() -> None:
    flags = runners.pipeline_options("flink", ["--environment_type=DOCKER"], None)
    assert not any(flag.startswith("--environment_config") for flag in flags)
    flags = runners.pipeline_options("flink", ["--environment_type=DOCKER", "--environment_config=an/image"], None)
    assert flags[-1] == "--environment_config=an/image"


def test_all_the_work_in_this_process_is_not_what_a_cluster_is_for(flink: Callable[..., str], pool: str) -> None:
    with pytest.raises(RunnerError, match="LOOPBACK does all the work in this one process"):
        prepare_flink(flink(), pool, "--environment_type=LOOPBACK")


def test_a_value_that_beam_does_not_take_is_told_and_an_unknown_option_is_warned_of(
    flink: Callable[..., str], pool: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunnerError, match="argument --parallelism: invalid int value: 'many'"):
        prepare_flink(flink(), pool, "--parallelism=many")
    assert capsys.readouterr().err == ""
    prepare_flink(flink(), pool, "--paralelism=1")
    assert [record.getMessage() for record in caplog.records if "--paralelism=1" in record.getMessage()]


def test_every_job_has_a_name_of_its_own_that_begins_as_the_user_says() -> None:
    first, second = (runners.job_name(["--runner=FlinkRunner", "--job_name=mine"]) for _ in range(2))
    assert first != second
    assert first.startswith("mine-")
    assert runners.job_name([]).startswith("bonafide-features-")


def test_a_worker_pool_that_nobody_serves_is_found(flink: Callable[..., str]) -> None:
    with pytest.raises(RunnerError, match="no worker pool listens"):
        prepare_flink(flink(), closed_port())
    with pytest.raises(RunnerError, match="needs --environment_config=HOST:PORT"):
        prepare_flink(flink(), "nonsense")


def test_dataflow_cannot_write_to_a_local_folder() -> None:
    with pytest.raises(RunnerError, match="cannot see the folder data/features"):
        runners.prepare(["--runner=DataflowRunner"], "data/features")


def test_an_error_for_people_in_a_worker_comes_back_as_itself() -> None:
    import apache_beam as beam

    def fail(number: int) -> int:
        raise StoreError("the disk is full; make room")

    with pytest.raises(StoreError, match=r"^the disk is full; make room$"):
        runners.run(lambda p: p | beam.Create([1]) | beam.Map(fail), ["--runner=FnApiRunner"], list)


def test_any_other_error_in_a_worker_says_what_it_was() -> None:
    import apache_beam as beam

    with pytest.raises(RunnerError, match=r"^the job failed: ZeroDivisionError: division by zero$"):
        runners.run(lambda p: p | beam.Create([0]) | beam.Map(lambda n: 1 / n), ["--runner=FnApiRunner"], list)
