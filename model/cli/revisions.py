"""What git holds of a run: a revision, or an experiment of DVC by its name, and the files committed there."""

import re
import subprocess
from typing import Final

from model.metrics import MetricsError

# DVC keeps an experiment under the commit that it started from.
_EXPERIMENT: Final = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(.+)")


def find_commit(name: str) -> str:
    """The commit of a git revision, or of an experiment, of the current folder.

    Raises:
        MetricsError: There is neither, or several experiments of other commits than HEAD have this name.
    """
    commit = _commit(name)
    if commit is not None:
        return commit
    experiments = _experiments(name)
    here = _commit("HEAD")
    if here in experiments:
        return experiments[here]
    if len(experiments) > 1:
        raise MetricsError(
            f"{name}: {len(experiments)} experiments have this name; give the revision that `dvc exp show --sha` prints"
        )
    for commit in experiments.values():
        return commit
    raise MetricsError(f"{name}: neither a score file nor a git revision or DVC experiment of this folder")


def committed(commit: str, path: str) -> str | None:
    """The text of a file at a commit, by its path from the current folder; None where the commit has none."""
    return git("show", f"{commit}:./{path}")


def git(*arguments: str) -> str | None:
    """What git prints; None where it fails or is not installed."""
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, encoding="utf-8", errors="replace", check=False
        )
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout


def _commit(name: str) -> str | None:
    found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return None if found is None else found.strip()


def _experiments(name: str) -> dict[str, str]:
    """The experiments of a name: their commits by the commit that they started from."""
    lines = (git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or "").splitlines()
    found = {}
    for commit, _, reference in (line.partition(" ") for line in lines):
        match = _EXPERIMENT.fullmatch(reference)
        if match is not None and match[3] == name:
            found[match[1] + match[2]] = commit
    return found
