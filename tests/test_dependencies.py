"""Every package that the code imports is declared, for the installations that have the code."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
OWN = {"bonafide", "pipeline", "model"}


def declared(lists: tuple[str, ...]) -> set[str]:
    """Normalised names of the distributions in these lists of pyproject.toml."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    found: set[str] = set()
    for name in lists:
        match = re.search(rf"^{name} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
        assert match, f"no list {name} in pyproject.toml"
        found |= {normalised(name) for name in re.findall(r'"([A-Za-z0-9_.-]+)', match[1])}
    return found


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(folder: str) -> Iterator[str]:
    """Top-level packages that the modules of a folder import, at their top or inside functions."""
    for path in (REPOSITORY / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


@pytest.mark.parametrize(
    ("folder", "lists"),
    [("pipeline", ("dependencies", "s3")), ("model/metrics", ("dependencies",)), ("model", ("dependencies", "train"))],
)
def test_every_imported_package_is_declared(folder: str, lists: tuple[str, ...]) -> None:
    distributions = packages_distributions()
    foreign = set(imported(folder)) - set(sys.stdlib_module_names) - OWN
    assert foreign
    allowed = declared(lists)
    # A package that is not installed here goes by its own name.
    undeclared = {
        package
        for package in foreign
        if not {normalised(name) for name in distributions.get(package, [package])} & allowed
    }
    assert undeclared == set()
