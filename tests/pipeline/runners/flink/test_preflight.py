"""What is found before a job goes to a Flink cluster, and the flags that the cluster adds."""

import json
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from apache_beam.utils.subprocess_server import JavaJarServer

from pipeline.errors import RunnerError
from pipeline.runners.options import describe_runner, prepare
from pipeline.runners.profiles import pipeline_options

OVERVIEW = {"flink-version": "2.2.1", "slots-total": 3, "slots-available": 2, "taskmanagers": 2}
TASK_MANAGERS = {"taskmanagers": [{"slotsNumber": 1}, {"slotsNumber": 2}]}


@pytest.fixture
def pool() -> Iterator[str]:
    """The address of something that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def flink() -> Iterator[Callable[..., str]]:
    """Starts servers that answer `/overview` with the given changes, and `/taskmanagers`; gives their addresses."""
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


JAR_NAME = "beam-runners-flink-2.2-job-server-2.77.0.jar"


def prepare_flink(master: str, pool: str, *more: str) -> list[str]:
    given = [f"--flink_master={master}", f"--environment_config={pool}", *more]
    return prepare(pipeline_options("flink", given, None), "s3://bucket/store")


@pytest.fixture(autouse=True)
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Beam's cache of jars, empty, and in place of Maven Central a folder that holds nothing yet."""
    monkeypatch.delenv("BEAM_ARGS", raising=False)
    served = tmp_path / "maven"
    monkeypatch.setattr(JavaJarServer, "JAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(JavaJarServer, "MAVEN_CENTRAL_REPOSITORY", served.as_uri())
    monkeypatch.setattr(JavaJarServer, "GOOGLE_MAVEN_MIRROR", (tmp_path / "mirror").as_uri())
    return served


@pytest.fixture
def jar(downloads: Path) -> bytes:
    """Content of Beam's job server jar, which can be downloaded."""
    path = downloads / "org/apache/beam/beam-runners-flink-2.2-job-server/2.77.0" / JAR_NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(b"beam's own")
    return path.read_bytes()


def test_the_official_runner_is_fetched_and_used_unless_another_is_named(
    flink: Callable[..., str], pool: str, jar: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flags = prepare_flink(flink(), pool)
    cached = tmp_path / "cache" / JAR_NAME
    assert f"--flink_job_server_jar={cached}" in flags
    assert cached.read_bytes() == jar
    assert (describe_runner(flags) or "").endswith(f", from {cached}")
    assert {"--max_bundle_size=1", "--number_of_execution_retries=5", "--execution_retry_delay=2000"} <= set(flags)
    assert not [record for record in caplog.records if "misspelt" in record.getMessage()]
    own = tmp_path / "own.jar"
    with zipfile.ZipFile(own, "w"):
        pass
    flags = prepare_flink(flink(), pool, f"--flink_job_server_jar={own}")
    assert (describe_runner(flags) or "").endswith(f", from {own}")


def test_an_official_runner_that_cannot_be_fetched_is_told_with_the_places_for_it(
    flink: Callable[..., str], pool: str, tmp_path: Path
) -> None:
    with pytest.raises(RunnerError) as told:
        prepare_flink(flink(), pool)
    assert f"stage the jar at {tmp_path / 'cache' / JAR_NAME}" in str(told.value)  # Beam's own hint
    assert f"Beam's official Flink runner, {JAR_NAME}" in str(told.value)
    assert "--flink_job_server_jar=PATH" in str(told.value)


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


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


def test_missing_slots_are_found(flink: Callable[..., str], pool: str, jar: bytes) -> None:
    with pytest.raises(RunnerError, match="has no TaskManagers"):
        prepare_flink(flink(**{"slots-total": 0, "slots-available": 0}), pool)
    with pytest.raises(RunnerError, match="1 free of 3 slots, the job needs 2"):
        prepare_flink(flink(**{"slots-available": 1}), pool, "--parallelism=2")
    prepare_flink(flink(**{"slots-available": 1}), pool, "--parallelism=1")


def test_all_free_slots_are_used_each_by_a_worker_of_its_own_unless_told_otherwise(
    flink: Callable[..., str], pool: str, jar: bytes
) -> None:
    def parallel(*more: str) -> list[str]:
        return [flag for flag in prepare_flink(flink(), pool, *more) if "parallelism" in flag]

    assert parallel() == ["--parallelism=2", "--sdk_worker_parallelism=2"]
    own = ["--parallelism=1", "--sdk_worker_parallelism=1"]
    assert parallel(*own) == own


def test_a_cluster_without_an_environment_type_would_mean_docker(flink: Callable[..., str]) -> None:
    with pytest.raises(RunnerError, match="Docker"):
        prepare(["--runner=FlinkRunner", f"--flink_master={flink()}"], "s3://bucket/store")


def test_all_the_work_in_this_process_is_not_what_a_cluster_is_for(flink: Callable[..., str], pool: str) -> None:
    with pytest.raises(RunnerError, match="LOOPBACK does all the work in this one process"):
        prepare_flink(flink(), pool, "--environment_type=LOOPBACK")


def test_a_value_that_beam_does_not_take_is_told_and_an_unknown_option_is_warned_of(
    flink: Callable[..., str],
    pool: str,
    jar: bytes,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(RunnerError, match="argument --parallelism: invalid int value: 'many'"):
        prepare_flink(flink(), pool, "--parallelism=many")
    assert capsys.readouterr().err == ""
    prepare_flink(flink(), pool, "--paralelism=1")
    assert [record.getMessage() for record in caplog.records if "--paralelism=1" in record.getMessage()]


def test_a_worker_pool_that_nobody_serves_is_found(flink: Callable[..., str]) -> None:
    with pytest.raises(RunnerError, match="no worker pool listens"):
        prepare_flink(flink(), closed_port())
    with pytest.raises(RunnerError, match="needs --environment_config=HOST:PORT"):
        prepare_flink(flink(), "nonsense")
