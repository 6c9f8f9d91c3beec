"""Options of the runner profiles, and what is found before a job starts from the options alone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from apache_beam.options.pipeline_options import PipelineOptions

import bonafide
from pipeline.errors import RunnerError
from pipeline.runners.options import PROFILES, job_name, pipeline_options, prepare


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
        ("PrismRunner", "downloaded"),
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
    found = {
        option: path.name
        for package in ("runners", "job")
        for path in (repository / "pipeline" / package).rglob("*.py")
        for text in message_texts(path)
        for option in re.findall(r"--[a-z][a-z_-]*", text)
    }
    assert {"--workers", "--flink_master"} <= found.keys()
    assert {option: name for option, name in found.items() if option not in known} == {}
