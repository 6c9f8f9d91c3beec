"""Experiments of DVC that run in a copy of the workspace run the code of that copy, in the command and in its workers."""

from pathlib import Path

import pytest
import yaml

from tests.support.dvc_project import Project
from tests.support.synthetic_corpus import write_corpus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Imported by the command and by every worker.
MODULE = "pipeline/job/worker.py"
NOTE = """
import os, pathlib, uuid
pathlib.Path({folder!r}, uuid.uuid4().hex).write_text(f"{version} {{os.getpid()}} {{__file__}}")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The repository with a tiny corpus, which stands outside it: copies of the workspace hold what git has."""
    folder = tmp_path_factory.mktemp("experiments")
    project = Project(folder / "bonafide")
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    params["data"]["root"] = str(write_corpus(folder / "LA"))
    params["store"]["shards"] = 2
    params["augment"]["copies"] = params["augment"]["copy_synthesis"]["copies"] = 0
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))
    project.commit("Parameters")
    return project


def noting(project: Project, notes: Path, version: str) -> None:
    """Makes a module of the workspace note its version, its process and its file whenever it is loaded."""
    path = project.root / MODULE
    code = path.read_text().partition("\nimport os, pathlib, uuid\n")[0]
    path.write_text(code + NOTE.format(folder=str(notes), version=version))


@pytest.mark.parametrize("how", ["queue", "temp"])
def test_an_experiment_runs_its_own_code_in_the_command_and_its_workers(
    project: Project, tmp_path: Path, how: str
) -> None:
    noting(project, tmp_path, "experiment")
    options = ("-S", "features.min_duration_s=0.2" if how == "queue" else "features.min_duration_s=0.3", "features")
    if how == "queue":
        project.run("dvc", "exp", "run", "--queue", "--name", "queued", *options)
        noting(project, tmp_path, "workspace")
        project.run("dvc", "exp", "run", "--run-all")
    else:
        project.run("dvc", "exp", "run", "--temp", "--name", "temporary", *options)

    notes = [path.read_text().split(" ", 2) for path in tmp_path.iterdir()]
    assert len({process for _, process, _ in notes}) > 1, "the command and its workers"
    assert {version for version, _, _ in notes} == {"experiment"}
    assert not [file for _, _, file in notes if Path(file) == project.root / MODULE]
    assert "min_duration_s" in project.run("dvc", "exp", "show", "--csv")
