"""Whether two committed runs come from the same machine and the same code, as far as git knows."""

import json
import subprocess
from typing import Any, Final

from model.artifacts import MACHINE_FILE, TRAINING_FOLDER

# What decides a result beside parameters and data.
_CODE: Final = ("pipeline", "model", "bonafide.py", "requirements.lock")


def differences_of_origin(a: str, b: str) -> list[str]:
    """Sentences about what two git revisions do not share, for a warning; none where all is alike.

    Args:
        a: A git revision of the current folder.
        b: Another.
    """
    found = []
    machines = [_machine(revision) for revision in (a, b)]
    unknown = [name for name, machine in zip((a, b), machines, strict=True) if machine is None]
    if unknown:
        found.append(f"{' and '.join(unknown)} does not say on which machine it was trained")
    else:
        first, second = (machine or {} for machine in machines)
        differing = [
            f"{key} {first.get(key)} and {second.get(key)}"
            for key in dict.fromkeys([*first, *second])
            if first.get(key) != second.get(key)
        ]
        if differing:
            found.append(f"{a} and {b} were trained on different machines: {', '.join(differing)}")
    changed = (_git("diff", "--name-only", "--relative", a, b, "--", *_CODE) or "").splitlines()
    if changed:
        others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        found.append(f"{a} and {b} have different code: {changed[0]}{others}")
    return found


def _machine(revision: str) -> dict[str, Any] | None:
    text = _git("show", f"{revision}:./{TRAINING_FOLDER}/{MACHINE_FILE}")
    try:
        return None if text is None else dict(json.loads(text))
    except ValueError:
        return None


def _git(*arguments: str) -> str | None:
    run = subprocess.run(["git", *arguments], capture_output=True, text=True, encoding="utf-8", check=False)
    return None if run.returncode else run.stdout
