"""The stages of dvc.yaml: their code deps are what their commands import, and the committed lock is of the committed code.

The unit is a package of the layout with all that is nested in it, such as `pipeline/audio`, or a single file for modules at
the top of `pipeline` and `model` and for the commands. A stage uses a unit when its command imports any module of it, at the
top or inside a function, directly or through other modules.

Registries that only load commands for the console are no part of a stage: `bonafide.py`, `pipeline/cli/__init__.py` and
`model/cli/__init__.py` import the modules of all commands to add them to the console, and nothing of what a stage computes
depends on the other commands. They are not entered.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

import bonafide
from model.artifacts import (
    EVALUATION_FOLDER,
    MEMBER_DATA_FOLDER,
    MEMBERS_FOLDER,
    MODEL_FOLDER,
    fusion_bundle,
    member_evaluation,
    member_model,
)
from tests.support.dvc_project import Project, changed, paths, repeated_stages, stages
from tests.support.imports import PACKAGES, REPOSITORY, modules, reached, unit

REGISTRIES = ("pipeline.cli", "model.cli")
ORDER = ("manifest", "features", "validate", "crossval", "train", "evaluate", "export", "report")
COMMANDS = {command.callback.__name__: command.callback.__module__ for command in bonafide.app.registered_commands}

# What a stage must never depend on, however its command is written. Only the features job runs on Beam, and beside it only
# the robustness table of the evaluation changes audio; the parts of the model that belong to another stage are that stage's.
RUNS = {"pipeline/job", "pipeline/runners"}
JOB = RUNS | {"pipeline/augmentation"}
FOREIGN = {
    "manifest": JOB | {"pipeline/frontends", "pipeline/store", "model"},
    "features": {"model"},
    "validate": JOB | {"model/bundle.py", "model/networks", "model/scoring", "model/training"},
    "crossval": JOB | {"model/evaluation", "model/export", "model/report"},
    "train": JOB | {"model/evaluation", "model/export", "model/report"},
    "evaluate": RUNS | {"model/export", "model/networks", "model/report", "model/training"},
    "export": JOB | {"model/evaluation", "model/networks", "model/report", "model/training"},
    "report": JOB | {"model/export", "model/networks", "model/training"},
}


def used(stage: str) -> set[str]:
    """The units that a stage's command uses."""
    return {unit(name) for name in reached(COMMANDS[stage], REGISTRIES)}


def code_deps(stage: str) -> set[str]:
    return {path for path in paths(stages()[stage]["deps"]) if path.partition("/")[0] in PACKAGES}


def is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def test_each_stage_runs_the_command_of_its_name_in_the_order_of_the_data() -> None:
    assert tuple(stages()) == ORDER
    for name, stage in stages().items():
        assert stage["cmd"].startswith(f"python -m bonafide {name} ")


@pytest.mark.parametrize("stage", ORDER)
def test_a_stage_depends_on_the_packages_that_its_command_imports_and_on_no_other(stage: str) -> None:
    missing, unused = sorted(used(stage) - code_deps(stage)), sorted(code_deps(stage) - used(stage))
    assert (missing, unused) == ([], []), f"dvc.yaml, stage {stage}: add to deps {missing}, remove {unused}"


def test_the_manifest_of_a_further_test_set_is_made_like_that_of_the_corpus() -> None:
    corpus, manifest = repeated_stages()["corpus"], stages()["manifest"]
    of_code = [path for path in paths(corpus["deps"]) if path.partition("/")[0] in PACKAGES]
    assert (set(of_code), corpus["params"]) == (code_deps("manifest"), manifest["params"])
    assert [path for path in corpus["deps"] if path not in of_code] == ["${item.root}"]
    assert "manifest --root ${item.root}" in corpus["cmd"]
    folder = corpus["outs"][0].rpartition("/")[0]
    assert folder in stages()["evaluate"]["deps"]
    assert (REPOSITORY / folder / "README.md").is_file(), "DVC wants the folder without any test set, too"


def of_member(text: str) -> str:
    """A command or path of a stage, with the folders of a member."""
    for folder in (
        "data/features",
        "data/crossval",
        "data/model",
        "reports/crossval",
        "reports/train",
        "reports/evaluation",
    ):
        text = text.replace(folder, folder.replace("/", "/members/${key}/"))
    return text


@pytest.mark.parametrize("name", ["features", "crossval", "train", "evaluate"])
def test_a_stage_of_a_member_is_that_of_the_main_network_in_other_folders(name: str) -> None:
    stage, main = repeated_stages()[f"member_{name}"], stages()[name]
    # The shards of the main store are linked where they are those of the member.
    shared = {"data/features"} if name == "features" else set()
    assert set(paths(stage["deps"])) == {of_member(path) for path in paths(main["deps"])} | shared
    assert paths(stage["outs"]) == [of_member(path) for path in paths(main["outs"])]
    # Members do not change the section `evaluate`.
    changes = name != "evaluate"
    assert stage["params"] == [*main["params"], *(["members.${key}"] if changes else [])]
    command = of_member(main["cmd"]) + (" --shared data/features" if shared else "")
    assert stage["cmd"] == (command.replace(f" {name} ", f" {name} --member ${{key}} ", 1) if changes else command)


def test_a_fusion_depends_on_every_evaluation_and_on_the_code_of_its_command() -> None:
    stage = repeated_stages()["fuse"]
    listed = paths(stage["deps"])
    assert {path for path in listed if path.partition("/")[0] in PACKAGES} == used("fuse")
    others = {path for path in listed if path.partition("/")[0] not in PACKAGES}
    assert others == {EVALUATION_FOLDER, MEMBERS_FOLDER, MODEL_FOLDER, MEMBER_DATA_FOLDER}
    member = repeated_stages()["member_evaluate"]["outs"]
    assert paths(member) == [f"{MEMBERS_FOLDER}/{member_evaluation('${key}')}"]
    assert f"{MEMBER_DATA_FOLDER}/{member_model('${key}')}" in paths(repeated_stages()["member_train"]["outs"])
    assert fusion_bundle("${key}") in paths(stage["outs"])


def test_a_change_of_any_module_makes_exactly_the_stages_stale_that_use_it() -> None:
    users = {stage: used(stage) for stage in ORDER}
    deps = {stage: code_deps(stage) for stage in ORDER}
    wrong = {}
    for name, path in modules().items():
        stale = {stage for stage in ORDER if any(is_below(path.as_posix(), dep) for dep in deps[stage])}
        expected = {stage for stage in ORDER if unit(name) in users[stage]}
        if stale != expected:
            wrong[path.as_posix()] = f"stale: {sorted(stale)}, users: {sorted(expected)}"
    assert wrong == {}


@pytest.mark.parametrize("stage", ORDER)
def test_no_stage_uses_what_belongs_to_the_work_of_others(stage: str) -> None:
    found = {path for path in used(stage) if any(is_below(path, folder) for folder in FOREIGN[stage])}
    assert found == set(), {name for name in reached(COMMANDS[stage], REGISTRIES) if unit(name) in found}


def test_params_are_whole_sections_and_every_section_is_used() -> None:
    sections = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8")).keys()
    params = {name: stage.get("params", []) for name, stage in stages().items() if name != "report"}
    params["fuse"] = repeated_stages()["fuse"]["params"]
    # One key of the front end's: with the section, every change of a front end would read the whole corpus again.
    assert params.pop("manifest") == ["data", "features.max_duration_s"]
    assert sorted({"data", *(section for listed in params.values() for section in listed)}) == sorted(sections)
    assert stages()["report"]["params"] == list(sections)


def test_each_stage_has_its_own_folder_below_reports() -> None:
    outs = [path for stage in stages().values() for path in paths(stage["outs"])]
    assert len(set(outs)) == len(outs)
    assert not [(a, b) for a in outs for b in outs if a != b and is_below(a, b)]


def test_lock_and_figures_are_those_of_the_committed_code() -> None:
    """Fails after a change of code or parameters until `dvc repro` has run and its lock and figures are there."""
    assert changed(REPOSITORY) == {}, "run `dvc repro` and commit dvc.lock and reports with the code"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy in which every stage counts as run; its outs are placeholders."""
    project = Project(tmp_path_factory.mktemp("stages") / "bonafide")
    sources = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))["data"]["root"]
    for path in (sources, *(path for stage in stages().values() for path in paths(stage["outs"]))):
        target = project.root / path
        if target.suffix:
            target.parent.mkdir(parents=True, exist_ok=True)
        else:
            target.mkdir(parents=True)
            target /= "placeholder"
        target.write_text(path)
    project.run("dvc", "commit", "--force", "--quiet")
    return project


def test_what_dvc_finds_changed_is_a_stages_own_code_parameters_and_figures(finished: Project) -> None:
    assert changed(finished.root) == {}
    for file, expected in (
        ("model/training/train.py", {"crossval": ["model/training"], "train": ["model/training"]}),
        ("reports/train/placeholder", {"report": ["reports/train"], "train": ["reports/train"]}),
    ):
        with appended(finished.root / file):
            assert changed(finished.root) == expected
    params = finished.root / "params.yaml"
    with appended(params, params.read_text().replace("gain_db: 3.0", "gain_db: 2.0")):
        assert set(changed(finished.root)) == {"crossval", "train", "report"}
    assert changed(finished.root) == {}


@pytest.mark.slow
def test_dvc_finds_the_stages_stale_that_use_a_changed_module(finished: Project) -> None:
    wrong = {}
    # One module of each: DVC hashes a folder as a whole, and the whole test would take ten minutes.
    for name, path in {unit(name): (name, path) for name, path in modules().items()}.values():
        with appended(finished.root / path):
            stale = set(changed(finished.root))
        expected = {stage for stage in ORDER if unit(name) in used(stage)}
        if stale != expected:
            wrong[path.as_posix()] = f"stale: {sorted(stale)}, users: {sorted(expected)}"
    assert wrong == {}


@contextmanager
def appended(path: Path, content: str | None = None) -> Iterator[None]:
    """Gives a file another content, by default a comment more; the old one comes back at the end."""
    before = path.read_bytes()
    path.write_bytes(before + b"\n# changed\n" if content is None else content.encode())
    try:
        yield
    finally:
        path.write_bytes(before)
