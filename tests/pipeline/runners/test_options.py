"""Options of the runner profiles, and what is found before a job starts from the options alone."""

import ast
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
import typer.main
from apache_beam.options.pipeline_options import PipelineOptions

import bonafide
from pipeline.errors import RunnerError
from pipeline.job.worker import WriteShard
from pipeline.job.worklist import ShardTask
from pipeline.params import Params, load_params
from pipeline.runners.options import describe_runner, job_name, parse_options, prepare
from pipeline.runners.profiles import PROFILES, pipeline_options
from pipeline.store.lineage import Config


@pytest.fixture(autouse=True)
def _no_beam_args(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEAM_ARGS", raising=False)


def test_local_profile_asks_for_as_many_worker_processes_as_cores() -> None:
    flags = pipeline_options("local", [], 3)
    assert "--runner=FnApiRunner" in flags
    assert "--direct_running_mode=multi_processing" in flags
    assert "--direct_num_workers=3" in flags


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_names_a_runner_that_is_not_refused(profile: str) -> None:
    flags = pipeline_options(profile, [], None)
    assert sum(flag.startswith("--runner=") for flag in flags) == 1


DATAFLOW = ["--project=a-project", "--region=europe-west1", "--temp_location=gs://bucket/temporary"]
NEEDED = {"dataflow": DATAFLOW}
"""What a user must add to a profile."""


@pytest.mark.parametrize("profile", ["local", "spark", "dataflow"])  # flink: with a cluster, in flink/test_preflight.py
def test_beam_takes_the_flags_of_every_profile_and_knows_each_of_them(
    profile: str, caplog: pytest.LogCaptureFixture
) -> None:
    flags = pipeline_options(profile, NEEDED.get(profile, []), 3)
    assert prepare(flags, "gs://bucket/store") == flags
    assert not [record for record in caplog.records if "--" in record.getMessage()]


@pytest.mark.parametrize(
    ("profile", "flag"),
    [
        ("local", "--direct_num_workers=3"),
        ("flink", "--parallelism=3"),
        ("spark", "--sdk_worker_parallelism=3"),
        ("dataflow", "--max_num_workers=3"),
    ],
)
def test_every_profile_honours_the_number_of_workers(profile: str, flag: str) -> None:
    assert flag in pipeline_options(profile, [], 3)
    assert flag not in pipeline_options(profile, [], None)


def test_flags_of_beams_flink_runner_that_only_java_reads_are_known_and_passed_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = parse_options(pipeline_options("flink", ["--object_reuse"], None)).get_all_options(drop_default=True)
    named = {
        name: options[name] for name in ("max_bundle_size", "number_of_execution_retries", "execution_retry_delay")
    }
    assert named == {"max_bundle_size": "1", "number_of_execution_retries": "5", "execution_retry_delay": "2000"}
    assert options["object_reuse"] == "true"
    assert caplog.records == []


def test_what_dataflow_lacks_is_told_as_beam_tells_it() -> None:
    with pytest.raises(RunnerError, match=r"Dataflow does not take these options: .*temp_location.*project"):
        prepare(pipeline_options("dataflow", [], None), "gs://bucket/store")


def test_the_dataflow_profile_gets_to_where_only_googles_answer_is_missing(repository: Path) -> None:
    pytest.importorskip("google.cloud.dataflow", reason="Dataflow's client is of the extra dataflow")
    from apache_beam.runners.dataflow.internal import apiclient

    params: Params = load_params(repository / "params.yaml")
    config = Config.current(params.features, params.augment)
    work = WriteShard("/corpus", "gs://bucket/store", config, params.features, params.augment)
    flags = prepare(pipeline_options("dataflow", [*DATAFLOW, "--dry_run=true"], 7), "gs://bucket/store")
    pipeline = beam.Pipeline(options=parse_options([*flags, "--job_name=features"]))
    tasks = [ShardTask("train-00000-of-00001", "train", 0, 1, "")]
    pipeline | beam.Create(tasks, reshuffle=False) | beam.Reshuffle() | beam.ParDo(work)  # type: ignore[unused-ignore]
    job = pipeline.run().job
    request = apiclient.Environment(
        packages=[],
        options=job.options,
        environment_version="1",
        proto_pipeline_staged_url="gs://bucket/pipeline.pb",
        proto_pipeline=job.proto_pipeline,
    ).proto
    (pool,) = request.worker_pools
    assert job.proto.name == "features"
    assert pool.autoscaling_settings.max_num_workers == 7
    assert any("beam_python" in image.container_image for image in pool.sdk_harness_container_images)


def test_a_prism_that_is_named_is_allowed_with_workers_of_its_own() -> None:
    prism = ["--runner=PrismRunner", "--prism_location=/usr/bin/prism"]
    docker = [*prism, "--environment_type=DOCKER"]
    assert prepare(docker, "data/features") == docker
    with pytest.raises(RunnerError, match="no --environment_type"):
        prepare(prism, "data/features")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(RunnerError, match="no worker pool listens"):
        prepare([*prism, "--environment_type=EXTERNAL", f"--environment_config=127.0.0.1:{port}"], "data/features")


@pytest.mark.parametrize("runner", ["PortableRunner", "SparkRunner", "PrismRunner"])
def test_no_portable_runner_does_all_the_work_in_this_process(runner: str) -> None:
    flags = [f"--runner={runner}", "--job_endpoint=localhost:1", "--prism_location=prism"]
    with pytest.raises(RunnerError, match="LOOPBACK does all the work in this one process"):
        prepare([*flags, "--environment_type=LOOPBACK"], "data/features")


def test_the_runner_of_a_job_is_named_unless_it_is_this_machine() -> None:
    assert describe_runner(pipeline_options("local", [], 1)) is None
    assert describe_runner(["--runner=PortableRunner", "--job_endpoint=host:8099"]) == "PortableRunner at host:8099"
    flags = pipeline_options("flink", ["--flink_job_server_jar=/a/runner.jar"], None)
    assert describe_runner(flags) == "FlinkRunner on 127.0.0.1:8081, from /a/runner.jar"


def test_later_flags_win_over_the_environment_and_the_environment_over_the_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

    def workers(extra: list[str]) -> int:
        options = PipelineOptions(pipeline_options("local", extra, 2))
        return int(options.view_as(DirectOptions).direct_num_workers)

    assert workers([]) == 2
    monkeypatch.setenv("BEAM_ARGS", "--direct_num_workers=5 --job_name='two words'")
    assert workers([]) == 5
    assert workers(["--direct_num_workers=7"]) == 7


def test_a_runner_of_the_users_own_replaces_the_profile() -> None:
    assert pipeline_options("local", ["--runner=FlinkRunner", "--parallelism=4"], 2) == [
        "--runner=FlinkRunner",
        "--parallelism=4",
    ]


def test_unreadable_beam_args_and_unknown_profiles_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunnerError, match="no runner profile 'moon'; there are: local, flink"):
        pipeline_options("moon", [], None)
    monkeypatch.setenv("BEAM_ARGS", "--job_name='open")
    with pytest.raises(RunnerError, match="BEAM_ARGS"):
        pipeline_options("local", [], None)


@pytest.mark.parametrize(
    ("runner", "reason"),
    [
        ("DaskRunner", "drops elements"),
        ("apache_beam.runners.dask.dask_runner.DaskRunner", "drops elements"),
        ("DirectRunner", "downloads Prism"),
        ("PrismRunner", "downloads a binary .* --prism_location=PATH"),
    ],
)
def test_runners_that_lose_data_or_change_under_the_user_are_refused_with_the_reason(runner: str, reason: str) -> None:
    with pytest.raises(RunnerError, match=f"{runner} is refused: .*{reason}"):
        prepare([f"--runner={runner}"], "data/features")


def test_local_flags_stay_as_they_are() -> None:
    flags = pipeline_options("local", [], 1)
    assert prepare(flags, "data/features") == flags


def test_another_environment_than_a_pool_does_not_get_the_address_of_one() -> None:
    flags = pipeline_options("flink", ["--environment_type=DOCKER"], None)
    assert not any(flag.startswith("--environment_config") for flag in flags)
    flags = pipeline_options("flink", ["--environment_type=DOCKER", "--environment_config=an/image"], None)
    assert flags[-1] == "--environment_config=an/image"


def test_every_job_has_a_name_of_its_own_that_begins_as_the_user_says() -> None:
    first, second = (job_name(["--runner=FlinkRunner", "--job_name=mine"], "bonafide-features") for _ in range(2))
    assert first != second
    assert first.startswith("mine-")
    assert job_name([], "bonafide-features").startswith("bonafide-features-")


def test_dataflow_cannot_write_to_a_local_folder() -> None:
    with pytest.raises(RunnerError, match="cannot see the folder data/features"):
        prepare(["--runner=DataflowRunner"], "data/features")


def message_texts(path: Path) -> Iterator[str]:
    """The string constants of a module that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def test_every_option_that_a_message_names_is_one_of_the_command_or_of_beam(repository: Path) -> None:
    command = typer.main.get_command(bonafide.app).commands["features"]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts} | {"--port"}  # of worker_pool.py
    known |= {f"--{name}" for name in PipelineOptions(["--runner=FlinkRunner"]).get_all_options()}
    known |= {option.replace("--", "--no_") for option in known}  # how Beam switches off what is on by default
    found = {
        option: path.name
        for package in ("runners", "job")
        for path in (repository / "pipeline" / package).rglob("*.py")
        for text in message_texts(path)
        for option in re.findall(r"--[a-z][a-z_-]*", text)
    }
    assert {"--workers", "--flink_master"} <= found.keys()
    assert {option: name for option, name in found.items() if option not in known} == {}
