"""The arrows between the packages, as CONTRIBUTING.md draws them, and what the lock file may hold."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
EVERY_DEPENDENCY_OF_METRICS = {"model.metrics", "numpy"}


def modules(package: str) -> list[Path]:
    found = sorted((REPOSITORY / package).rglob("*.py"))
    assert found, f"no modules in {package}"
    return found


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a module imports, at its top or inside functions; relative imports made absolute."""
    package = path.relative_to(REPOSITORY).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            name = (base + (node.module or "")).rstrip(".")
            # `from model import metrics` imports model.metrics.
            yield from (f"{name}.{alias.name}" for alias in node.names)


def is_of(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def users(packages: tuple[str, ...], *imported: str) -> dict[str, list[str]]:
    """The modules of some packages that import something, and what."""
    found: dict[str, list[str]] = {}
    for package in packages:
        for path in modules(package):
            names = sorted({name for name in imports(path) if any(is_of(name, target) for target in imported)})
            if names:
                found[path.relative_to(REPOSITORY).as_posix()] = names
    return found


def test_imports_are_found_wherever_they_stand() -> None:
    assert "pipeline.corpus.protocol.read_corpus" in set(imports(REPOSITORY / "pipeline" / "cli" / "manifest.py"))


def test_the_pipeline_never_imports_tensorflow() -> None:
    assert users(("pipeline",), "tensorflow", "tensorflow_io", "keras", "dvclive") == {}


def test_the_pipeline_imports_of_the_model_only_the_data_validation_for_now() -> None:
    found = users(("pipeline",), "model")
    assert all(is_of(name, "model.evaluation.data_validation") for names in found.values() for name in names)


def test_metrics_import_numpy_and_the_standard_library_alone() -> None:
    foreign = {
        path.name: names
        for path in modules("model/metrics")
        if (
            names := sorted(
                name
                for name in imports(path)
                if not any(is_of(name, allowed) for allowed in EVERY_DEPENDENCY_OF_METRICS)
                and name.partition(".")[0] not in sys.stdlib_module_names
            )
        )
    }
    assert foreign == {}


def test_one_module_alone_imports_tensorflow_io() -> None:
    assert len(users(("pipeline", "model"), "tensorflow_io")) <= 1


def test_the_console_command_imports_nothing_heavy_at_its_top() -> None:
    heavy = {"apache_beam", "tensorflow", "keras", "pyarrow", "numba", "scipy", "matplotlib", "numpy", "soundfile"}
    for path in (REPOSITORY / "bonafide.py", *REPOSITORY.glob("*/cli/*.py")):
        top = ast.parse(path.read_text(encoding="utf-8")).body
        names = {
            name.partition(".")[0]
            for node in top
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        }
        assert names & heavy == set(), path.name


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        path.relative_to(REPOSITORY).as_posix()
        for package in ("pipeline", "model")
        for path in modules(package)
        if path.name not in ("__init__.py", "example_pb2.py") and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


@pytest.fixture(scope="module")
def lock() -> str:
    return (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")


def test_the_lock_names_no_registry_host(lock: str) -> None:
    assert re.findall(r"https?:|--(?:extra-)?index-url|--find-links|file:|git\+| @ ", lock) == []


def test_the_lock_pins_every_package_with_a_hash(lock: str) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", lock).strip())
    assert len(entries) > 50
    assert [entry.splitlines()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_every_dependency_of_the_project_is_locked(lock: str) -> None:
    pyproject = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    section = pyproject[pyproject.index("\ndependencies = [") : pyproject.index("[project.scripts]")]
    wanted = {name.lower().replace("_", "-") for name in re.findall(r'^    "([A-Za-z0-9_-]+)', section, re.MULTILINE)}
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert len(wanted) > 30
    assert wanted - locked == set()
