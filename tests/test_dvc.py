"""The pipeline as DVC's users run it, in a clone of the repository on a small corpus."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.synthetic_corpus import write_corpus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STAGES = ("manifest", "features", "train", "evaluate", "report")


class Project:
    """A clone with parameters that make a run short."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str) -> str:
        """Runs a command in the clone; gives all that it printed."""
        # The commands of this environment, but the code and data of the clone.
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root),
            "DVC_NO_ANALYTICS": "1",
        }
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm", message)

    def stages_run(self, output: str) -> list[str]:
        """The stages that a `dvc repro` or `dvc exp run` ran, in order."""
        return [stage for stage in STAGES if f"Running stage '{stage}'" in output]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    repository = Path(__file__).resolve().parent.parent
    root = tmp_path_factory.mktemp("dvc") / "bonafide"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    outs = ("data/sample/", "reports/", "tests/", "dvc.lock")
    for name in listed.split("\0"):
        if name and not name.startswith(outs) and (repository / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / name, root / name)
    write_corpus(root / "data" / "raw" / "LA")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["data"]["root"] = "data/raw/LA"
    params["train"] |= {"epochs": 1, "channels": [4, 4], "batch_size": 4}
    params["evaluate"]["intervals"] = 0
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    project = Project(root)
    project.run("git", "init", "-q")
    project.run("git", "config", "user.name", "test")
    project.run("git", "config", "user.email", "test@example.org")
    project.commit("Parameters")
    assert project.stages_run(project.run("dvc", "repro")) == list(STAGES)
    project.commit("A first run")
    return project


def test_second_repro_runs_nothing_and_leaves_the_lock_file_clean(project: Project) -> None:
    output = project.run("dvc", "repro")
    assert project.stages_run(output) == []
    assert "up to date" in output
    assert project.run("git", "status", "--porcelain", "dvc.lock") == ""


def test_git_holds_metrics_and_plots_and_dvc_the_rest(project: Project) -> None:
    tracked = project.run("git", "ls-files").splitlines()
    assert "reports/evaluation/metrics.json" in tracked
    assert "reports/data/validation.json" in tracked
    assert "dvc.lock" in tracked
    assert not [name for name in tracked if name.startswith(("data/features/", "data/model/", "reports/index.html"))]


def test_another_learning_rate_trains_again_and_no_more(project: Project) -> None:
    output = project.run("dvc", "exp", "run", "-S", "train.learning_rate=0.02", "--name", "faster")
    assert project.stages_run(output) == ["train", "evaluate", "report"]
    differences = json.loads(project.run("dvc", "metrics", "diff", "--json"))
    assert "dev.loss" in differences["reports/train/metrics.json"]
    parameters = json.loads(project.run("dvc", "params", "diff", "--json"))
    assert parameters["params.yaml"]["train.learning_rate"] == {"old": 0.001, "new": 0.02, "diff": pytest.approx(0.019)}
    assert "faster" in project.run("dvc", "exp", "show", "--csv")
    project.run("dvc", "plots", "diff", "HEAD", "--out", "plots")
    page = (project.root / "plots" / "index.html").read_text()
    assert "ROC" in page
    assert "workspace" in page


def test_interrupted_features_go_on_under_repro(project: Project) -> None:
    index = sorted((project.root / "data/features/index").iterdir())
    kept = len(index) - 1
    index[0].unlink()
    (project.root / "data/features/store.json").unlink()
    output = project.run("dvc", "repro", "--single-item", "features")
    assert f"{kept} shards kept, 1 redone" in output
