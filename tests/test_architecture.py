"""The arrows between the packages, what each may import from elsewhere, their size, and what the lock file may hold."""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bonafide
from tests.support.imports import REPOSITORY, imports, modules, project_imports, reached, source

# What each package imports from the others, types included. The order is that of the layers: every arrow points to an
# entry above.
PIPELINE = {
    "errors": "",
    "files": "",
    "interrupts": "",
    "section": "",
    "machine": "",
    "text": "",
    "tables": "",
    "yaml_file": "errors text",
    "parameter_file": "errors section yaml_file",
    "audio": "errors section",
    "storage": "errors",
    "corpus": "audio errors files parameter_file section storage tables text",
    "frontends": "audio parameter_file section",
    "augmentation": "audio errors files section",
    "store": "audio corpus errors files frontends section storage tables text",
    "params": "augmentation corpus frontends parameter_file store",
    "runners": "errors files interrupts text",
    "job": "audio augmentation corpus errors files frontends params runners storage store",
    "cli": "augmentation corpus errors files frontends job machine params runners store text",
}
# The same for the model: what is imported from it, and what from the pipeline.
MODEL = {
    "artifacts": ("", ""),
    "errors": ("", "errors"),
    "metrics": ("", ""),
    "registry": ("", "errors"),
    "params": ("artifacts", "corpus errors parameter_file section"),
    "keras_archive": ("", "files"),
    "sealed_file": ("errors", "files"),
    "development": ("artifacts errors metrics sealed_file", "files"),
    "bundle_file": ("artifacts development errors sealed_file", ""),
    "fusion_file": ("artifacts bundle_file development errors metrics sealed_file", "files"),
    "domain_file": ("artifacts errors", "files"),
    "twins": ("", "errors"),
    "sampler": ("params twins", "corpus errors frontends store"),
    "bundle": (
        "artifacts bundle_file development domain_file errors keras_archive metrics params sampler sealed_file",
        "errors files frontends parameter_file section storage store",
    ),
    "detector_model": ("artifacts bundle errors fusion_file metrics", ""),
    "scoring": ("detector_model domain_file errors metrics", "audio corpus errors frontends store"),
    "dataset": ("params sampler scoring", "errors store"),
    "networks": ("params registry", "store"),
    "training": (
        "artifacts bundle dataset development domain_file errors metrics networks params registry sampler scoring",
        "corpus errors files frontends machine store",
    ),
    "evaluation": (
        "artifacts bundle bundle_file dataset development errors fusion_file metrics params scoring",
        "audio augmentation corpus errors files frontends section store text",
    ),
    "export": ("artifacts bundle dataset errors metrics scoring", "audio corpus errors files frontends machine"),
    "batch": ("artifacts bundle_file errors metrics", "audio corpus errors job runners section storage store"),
    "detector": ("bundle detector_model params scoring", "corpus errors"),
    "report": (
        "artifacts bundle detector errors evaluation metrics params scoring",
        "audio corpus errors files frontends store text",
    ),
    "service": ("detector report scoring", "corpus errors text"),
    "cli": (
        "artifacts batch bundle detector errors evaluation export metrics params report scoring service training",
        "cli corpus errors params runners storage store text",
    ),
}
ARROWS = {
    f"pipeline.{name}": {f"pipeline.{other}" for other in others.split()} for name, others in PIPELINE.items()
} | {
    f"model.{name}": {f"model.{other}" for other in ours.split()} | {f"pipeline.{other}" for other in theirs.split()}
    for name, (ours, theirs) in MODEL.items()
}

TENSORFLOW = {"tensorflow", "tensorflow_io", "keras", "dvclive"}
WITHOUT_TENSORFLOW = ("pipeline", "model.metrics", "model.artifacts", "model.batch", "model.evaluation.data_validation")
# Run on a machine with the base dependencies alone.
BASE_COMMANDS = ("download", "manifest", "features", "plan", "batch", "validate", "metrics", "fuse", "compare")
HEAVY = {"apache_beam", "tensorflow", "keras", "pyarrow", "numba", "scipy", "matplotlib", "numpy", "soundfile"}

LONGEST_MODULE = 300
LONGEST_FUNCTION = 60
GENERATED = ("pipeline.store.example_pb2",)


def is_of(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def package_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


def roots(name: str) -> set[str]:
    """The top-level packages that a module imports."""
    return {imported.partition(".")[0] for imported in imports(modules()[name])}


def users_of(*foreign: str) -> set[str]:
    """The modules of the project that import one of some top-level packages."""
    return {name for name in modules() if roots(name) & set(foreign)}


def command_modules() -> dict[str, str]:
    return {command.callback.__name__: command.callback.__module__ for command in bonafide.app.registered_commands}


def test_imports_are_found_wherever_they_stand() -> None:
    path = modules()["pipeline.cli.manifest"]
    assert "pipeline.corpus.protocol.read_corpus" in imports(path)
    assert "pipeline.corpus.protocol.read_corpus" not in imports(path, inside_functions=False)
    assert "pyarrow" in imports(path)
    assert "pyarrow" not in imports(path, for_types=False)


def test_no_module_is_imported_by_a_name_that_reading_the_source_does_not_show() -> None:
    texts = {name: (REPOSITORY / path).read_text(encoding="utf-8") for name, path in modules().items()}
    assert [name for name, text in texts.items() if "import_module(" in text or "__import__(" in text] == []


def test_each_package_imports_what_the_table_of_arrows_says_and_no_more() -> None:
    found: dict[str, set[str]] = {package: set() for package in ARROWS}
    for name in modules().keys() - {"pipeline", "model"}:
        arrows = {package_of(other) for other in project_imports(name) if "." in other} - {package_of(name)}
        found.setdefault(package_of(name), set()).update(arrows)
    wrong = {
        package: {
            "not in the table": sorted(arrows - ARROWS.get(package, set())),
            "unused": sorted(ARROWS.get(package, set()) - arrows),
        }
        for package, arrows in found.items()
        if arrows != ARROWS.get(package)
    }
    assert wrong == {}


def test_arrows_point_to_the_layers_below_so_there_are_no_circles() -> None:
    layers = list(ARROWS)
    assert {
        package: arrows for package, arrows in ARROWS.items() if arrows - set(layers[: layers.index(package)])
    } == {}


def test_the_pipeline_never_imports_the_model() -> None:
    pipeline = {name for name in modules() if is_of(name, "pipeline")}
    assert {name for name in pipeline if "model" in roots(name)} == set()


def test_no_module_imports_itself_in_a_circle_while_it_is_loaded() -> None:
    graph = {
        # A package is being loaded already when a module in it is.
        name: {
            other for other in project_imports(name, for_types=False, inside_functions=False) if not is_of(name, other)
        }
        for name in modules()
    }
    TopologicalSorter(graph).prepare()


def test_the_pipeline_never_imports_tensorflow() -> None:
    assert {name for name in users_of(*TENSORFLOW) if is_of(name, "pipeline")} == set()


def test_tensorflow_stays_out_of_metrics_and_of_what_a_base_installation_runs() -> None:
    users = users_of(*TENSORFLOW)
    assert {name for name in users if any(is_of(name, package) for package in WITHOUT_TENSORFLOW)} == set()
    found = {command_modules()[command] for command in BASE_COMMANDS} | {"pipeline.cli.store"}
    for module in found:
        assert reached(module, ("pipeline.cli", "model.cli")) & users == set(), module


def test_metrics_import_numpy_and_the_standard_library_alone() -> None:
    foreign: dict[str, set[str]] = defaultdict(set)
    for name, path in modules().items():
        if is_of(name, "model.metrics"):
            foreign[name] = {
                imported
                for imported in imports(path)
                if not any(is_of(imported, allowed) for allowed in ("model.metrics", "numpy"))
                and imported.partition(".")[0] not in sys.stdlib_module_names
            }
    assert len(foreign) > 5
    assert {name: found for name, found in foreign.items() if found} == {}


def test_one_module_alone_imports_tensorflow_io() -> None:
    assert len(users_of("tensorflow_io")) <= 1


def test_the_console_command_imports_nothing_heavy_at_its_top() -> None:
    commands = [path for name, path in modules().items() if is_of(name, "pipeline.cli") or is_of(name, "model.cli")]
    for path in (Path("bonafide.py"), *commands):
        names = {name.partition(".")[0] for name in imports(path, for_types=False, inside_functions=False)}
        assert names & HEAVY == set(), path


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        path.as_posix()
        for name, path in modules().items()
        if name not in GENERATED and not ast.get_docstring(source(path))
    ]
    assert silent == []


def test_no_module_is_longer_than_300_lines_and_no_function_than_60() -> None:
    long = {}
    for name, path in modules().items():
        if name in GENERATED:
            continue
        n_lines = len((REPOSITORY / path).read_text(encoding="utf-8").splitlines())
        if n_lines > LONGEST_MODULE:
            long[path.as_posix()] = n_lines
        long |= {f"{path.as_posix()}:{function}": n for function, n in functions(source(path)) if n > LONGEST_FUNCTION}
    assert long == {}


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function, decorators not counted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.fixture(scope="module")
def lock() -> str:
    return (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")


def test_the_lock_names_no_registry_host(lock: str) -> None:
    # Comments, pins and hashes alone: no address and no option of pip has a place.
    pin, sha256 = (
        r"[a-z0-9.-]+(?:\[[a-z0-9, -]+\])?==[^\s;@:]+(?: ; [^@:\\]+)? \\",
        r"    --hash=sha256:[0-9a-f]{64}(?: \\)?",
    )
    allowed = re.compile(rf"#[^:]*:?|{pin}|{sha256}")
    assert [line for line in lock.splitlines() if not allowed.fullmatch(line)] == []


def test_the_lock_pins_every_package_with_a_hash(lock: str) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", lock).strip())
    assert len(entries) > 50
    assert [entry.splitlines()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_every_dependency_of_the_project_is_locked(lock: str) -> None:
    pyproject = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    section = pyproject[pyproject.index("\ndependencies = [") : pyproject.index("[project.scripts]")]
    wanted = {name.lower().replace("_", "-") for name in re.findall(r'^    "([A-Za-z0-9_-]+)', section, re.MULTILINE)}
    locked = set(re.findall(r"^([a-z0-9-]+)(?:\[[^]]*\])?==", lock, re.MULTILINE))
    assert len(wanted) > 30
    assert wanted - locked == set()
