"""Workers whose libraries have other versions than the command's would write other bytes; they are refused on every runner."""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import RunnerError


def require_versions(found: Mapping[str, Any], expected: Mapping[str, Any], host: str) -> None:
    """Compares the versions of a worker with those of the command, as `installed_versions` gives them.

    Args:
        found: Of the worker.
        expected: Of the command.
        host: Of the worker, for the message.

    Raises:
        RunnerError: One differs or is missing.
    """
    other = sorted(key for key in expected if found.get(key) != expected[key])
    if other:
        listed = ", ".join(f"{key} {found.get(key)} instead of {expected[key]}" for key in other)
        raise RunnerError(
            f"the worker on {host} has other versions than this command: {listed}; the store would have other "
            "bytes. Install the same wheel and lock file there"
        )
