"""What the modules of the project import, read from their source: at the top, inside functions, and for types alone."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "model")


@cache
def modules() -> dict[str, Path]:
    """Every module of the project by dotted name, with its path relative to the repository; packages are their `__init__`."""
    found = {}
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.relative_to(REPOSITORY)
    assert len(found) > 50
    return found


@cache
def source(path: Path) -> ast.Module:
    """The syntax tree of a file of the repository."""
    return ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))


def imports(path: Path, *, for_types: bool = True, inside_functions: bool = True) -> frozenset[str]:
    """Dotted names that a file imports; relative imports are made absolute.

    `from a import b` gives `a.b`, whether b is a module or a name in it.

    Args:
        path: Relative to the repository.
        for_types: Also what stands below `if TYPE_CHECKING`.
        inside_functions: Also what a function imports when it is called.
    """
    return frozenset(_imports(source(path), path.parent.parts, for_types, inside_functions))


def project_imports(name: str, *, for_types: bool = True, inside_functions: bool = True) -> set[str]:
    """The modules of the project that a module imports.

    Importing a module also runs the `__init__` of each package above it: these are included.
    """
    found = set()
    for imported in imports(modules()[name], for_types=for_types, inside_functions=inside_functions):
        found |= _with_parents(imported)
    return found - {name}


def reached(start: str, leave_out: Iterable[str] = ()) -> set[str]:
    """The modules of the project that run when `start` is imported and its functions are called, itself included.

    Args:
        start: Dotted name.
        leave_out: Modules that are not entered.
    """
    left_out = set(leave_out)
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found | left_out:
            found.add(name)
            waiting += _with_parents(name) | project_imports(name, for_types=False)
    return found


def unit(name: str) -> str:
    """The part of the project that a module belongs to, as a path.

    A folder such as "pipeline/audio", with all that is nested in it, for modules of a package of the layout; the file for
    modules at the top of `pipeline` and `model` and for the modules of the commands, which are used one by one.
    """
    path = modules()[name]
    is_single = len(path.parts) == 2 or path.parts[1] == "cli"
    return path.as_posix() if is_single else "/".join(path.parts[:2])


def _imports(tree: ast.AST, package: tuple[str, ...], for_types: bool, inside_functions: bool) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            names = [*base, *filter(None, [node.module])]
            yield from (".".join([*names, alias.name]) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            bodies = node.body + node.orelse if for_types else node.orelse
            yield from _imports(ast.Module(bodies, []), package, for_types, inside_functions)
        elif inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports(node, package, for_types, inside_functions)


def _with_parents(imported: str) -> set[str]:
    """The modules of the project that importing a dotted name runs: the module that it is or is in, and those above."""
    parts = imported.split(".")
    names = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return names & modules().keys()
