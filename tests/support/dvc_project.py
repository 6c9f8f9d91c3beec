"""A copy of the repository in which DVC's commands can be run, and what DVC finds changed in a checkout."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.imports import REPOSITORY

# A copy gets data and results of its own.
_LEFT_OUT = ("data/sample/", "reports/", "tests/", "dvc.lock")


class Project:
    """A git repository with the code and the stages of this one, without its data, results and lock file."""

    def __init__(self, root: Path) -> None:
        """Copies what git has or would have."""
        self.root = root
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
        for name in listed.split("\0"):
            # A README.md keeps a folder that a stage depends on.
            kept = name.endswith("/README.md") or not name.startswith(_LEFT_OUT)
            if name and kept and (REPOSITORY / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(REPOSITORY / name, root / name)
        self.run("git", "init", "-q")
        self.run("git", "config", "user.name", "test")
        self.run("git", "config", "user.email", "test@example.org")

    def run(self, *command: str) -> str:
        """Runs a command in the project; gives all that it printed."""
        # The commands of this environment, but the code and data of the copy.
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root),
            "DVC_NO_ANALYTICS": "1",
        }
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def commit(self, message: str) -> None:
        """Commits everything to git."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "-qm", message)


def stages(root: Path = REPOSITORY) -> dict[str, dict[str, Any]]:
    """The stages of dvc.yaml as written there, in its order, without those that are there once for each item of a parameter."""
    return {name: stage for name, stage in _stages(root).items() if "foreach" not in stage}


def repeated_stages(root: Path = REPOSITORY) -> dict[str, dict[str, Any]]:
    """The stages that are there once for each item of a parameter, with `${key}` and `${item…}` as written."""
    return {name: stage["do"] for name, stage in _stages(root).items() if "foreach" in stage}


def _stages(root: Path) -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return content


def paths(entries: list[Any]) -> list[str]:
    """The paths of outs or deps, which stand alone or with options."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def changed(root: Path) -> dict[str, list[str]]:
    """What `dvc status` shows as changed right after a checkout, by stage.

    These are deps, parameters, commands and outs that git holds; what only DVC's cache holds is not there yet.
    """
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        found = {stage.name: sorted(_changes(stage)) for stage in repo.index.stages}
    return {name: changes for name, changes in found.items() if changes}


def _changes(stage: Any) -> Iterator[str]:
    cached = {out.fs_path for other in stage.repo.index.stages for out in other.outs if out.use_cache}
    if stage.cmd_changed:
        yield "cmd"
    for item in (*stage.deps, *stage.outs):
        if item.fs_path not in cached:
            yield from item.workspace_status()
