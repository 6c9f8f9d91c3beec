"""Whether two committed runs come from the same machine, code and corpus, as far as git and the lock file of DVC know."""

import json
from typing import Any, Final

import yaml

from model.artifacts import MACHINE_FILE, TRAINING_FOLDER
from model.cli.revisions import committed, git

# What decides a result beside parameters and data.
_CODE: Final = ("pipeline", "model", "bonafide.py", "requirements.lock")
_LOCK: Final = "dvc.lock"


def differences_of_origin(names: tuple[str, str], commits: tuple[str, str]) -> list[str]:
    """Sentences about what two runs do not share, for a warning; none where all is alike.

    Args:
        names: Of the runs, for the sentences.
        commits: Of the runs, in the current folder.
    """
    return [*_machines(names, commits), *_code(names, commits), *_corpora(names, commits)]


def _machines(names: tuple[str, str], commits: tuple[str, str]) -> list[str]:
    machines = [_machine(commit) for commit in commits]
    unknown = _unknown(names, machines)
    if unknown:
        return [f"{unknown} does not say on which machine it was trained"]
    first, second = (machine or {} for machine in machines)
    differing = [
        f"{key} {first.get(key)} and {second.get(key)}"
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key)
    ]
    return [f"{' and '.join(names)} were trained on different machines: {', '.join(differing)}"] if differing else []


def _code(names: tuple[str, str], commits: tuple[str, str]) -> list[str]:
    changed = (git("diff", "--name-only", "--relative", *commits, "--", *_CODE) or "").splitlines()
    if not changed:
        return []
    others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return [f"{' and '.join(names)} have different code: {changed[0]}{others}"]


def _corpora(names: tuple[str, str], commits: tuple[str, str]) -> list[str]:
    """Compares the files that the manifest stage read, and the parameters that chose among them."""
    first, second = (_corpus(commit) for commit in commits)
    if first is None and second is None:
        return []  # runs without DVC
    if first is None or second is None:
        return [f"{_unknown(names, [first, second])} does not say of which corpus it is"]
    # The same files in another place are the same corpus.
    differing = [
        f"data.{key} {first.get(key)} and {second.get(key)}"
        for key in dict.fromkeys([*first, *second])
        if key not in ("files", "root") and first.get(key) != second.get(key)
    ]
    if first["files"] != second["files"]:
        roots = first["root"], second["root"]
        differing.append(f"the files of {roots[0]}" + (f" and {roots[1]}" if roots[0] != roots[1] else ""))
    return [f"{' and '.join(names)} have different corpora: {', '.join(differing)}"] if differing else []


def _machine(commit: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(committed(commit, f"{TRAINING_FOLDER}/{MACHINE_FILE}") or ""))
    except (TypeError, ValueError):
        return None


def _corpus(commit: str) -> dict[str, Any] | None:
    """The parameters of the section `data` and the checksum of the corpus (`files`), from the lock file."""
    try:
        stage = yaml.safe_load(committed(commit, _LOCK) or "")["stages"]["manifest"]
        data = dict(stage["params"]["params.yaml"]["data"])
        checksums = {dep["path"]: dep.get("md5") for dep in stage["deps"]}
        return {**data, "files": checksums[data["root"]]}
    except (KeyError, TypeError, ValueError, yaml.YAMLError):
        return None


def _unknown(names: tuple[str, str], found: list[Any]) -> str:
    return " and ".join(name for name, value in zip(names, found, strict=True) if value is None)
