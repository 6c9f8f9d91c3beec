import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import bonafide
from tests.support.synthetic_corpus import protocol_lines, write_corpus, write_protocols

HEAVY = (
    "apache_beam",
    "tensorflow",
    "keras",
    "pyarrow",
    "numba",
    "scipy",
    "matplotlib",
    "numpy",
    "soundfile",
)


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(bonafide.app)))


def run_python(code: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd, timeout=60, check=False
    )


def run_console(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_python("import bonafide; bonafide.main()", *arguments, cwd=cwd)


@pytest.fixture
def workspace(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the project's parameters whose corpus is the folder LA, which is not there yet."""
    content = yaml.safe_load((repository / "params.yaml").read_text())
    content["data"]["root"] = "LA"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Help


def test_help_of_every_command_imports_nothing_heavy() -> None:
    code = """
import json, sys
import bonafide
for path in json.loads(sys.argv[1]):
    sys.argv = ["bonafide", *path, "--help"]
    try:
        bonafide.main()
    except SystemExit as end:
        assert not end.code, (path, end.code)
print("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    result = run_python(code, json.dumps([[], *COMMANDS]))
    assert result.returncode == 0, result.stderr
    assert set(json.loads(result.stdout.splitlines()[-1])) & set(HEAVY) == set()


def test_the_commands_are_joined_with_typer_alone_and_without_the_packages_behind_them() -> None:
    code = """
import json, sys
import typer
before = set(sys.modules)
import pipeline.cli
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    loaded = json.loads(result.stdout)
    assert {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names} == {
        name for name in loaded if name == "pipeline" or name.startswith("pipeline.cli")
    }


def test_help_takes_less_than_a_second_of_processor_time() -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run_python("import bonafide; bonafide.main()", "--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(2)) < 1.0


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...], run_bonafide: Any) -> None:
    code, output = run_bonafide(*path, "--help")
    assert code == 0
    words = " ".join(output.split())
    example = words.rpartition("Example")[2]
    assert f"bonafide {' '.join(path)}" in example, words[-400:]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_of_every_command_is_explained(path: tuple[str, ...]) -> None:
    assert [parameter.name for parameter in COMMANDS[path].params if not getattr(parameter, "help", None)] == []


def test_without_arguments_the_help_is_shown(run_bonafide: Any) -> None:
    assert "Commands" in run_bonafide()[1]


# Errors


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (["manifest"], 1, "LA: no such corpus; set data.root"),
        (["manifest", "--protocol-only"], 1, "LA: no such corpus; set data.root"),
        (["manifest", "--params", "absent.yaml"], 2, "absent.yaml: no such parameter file"),
        (["manifest", "--root", "params.yaml"], 1, "params.yaml: column 'path' is missing"),
        (["features"], 1, "data/manifest.parquet: no such manifest; make it with `bonafide manifest`"),
        (["features", "--workers", "0"], 2, "--workers"),
        (["manifest", "--colour"], 2, "--colour"),
        (["sing"], 2, "sing"),
    ],
)
def test_an_error_of_the_user_is_told_without_a_traceback(
    workspace: Path, run_bonafide: Any, arguments: list[str], exit_code: int, told: str
) -> None:
    code, output = run_bonafide(*arguments)
    assert code == exit_code
    assert told in output
    assert "Traceback" not in output
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]


def test_wrong_protocols_are_told_with_file_and_line(workspace: Path, run_bonafide: Any) -> None:
    write_protocols(workspace / "LA", {"train": [*protocol_lines("train"), "LA_0000 LA_T_X - A01 fake"]})
    code, output = run_bonafide("manifest", "--protocol-only")
    assert code == 1
    assert "LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.train.trn.txt:10: unknown label 'fake'" in output


@pytest.mark.parametrize("output", ["params.yaml/manifest.parquet", "LA"])
def test_an_output_that_cannot_be_written_is_told_without_a_traceback(
    workspace: Path, run_bonafide: Any, output: str
) -> None:
    write_corpus(workspace / "LA", 3)
    code, printed = run_bonafide("manifest", "--output", output)
    assert code == 1
    assert "error: " in printed
    assert output.partition("/")[0] in printed
    assert "Traceback" not in printed


def test_debug_shows_the_traceback(workspace: Path) -> None:
    plain = run_console("manifest", cwd=workspace)
    debug = run_console("--debug", "manifest", cwd=workspace)
    assert plain.returncode == debug.returncode == 1
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert debug.stderr.rstrip().endswith("set data.root in params.yaml to the folder that holds it")


def test_an_error_of_the_program_keeps_its_traceback(
    workspace: Path, run_bonafide: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.corpus.params.load_corpus_params", lambda path: {}["bug"])
    with pytest.raises(KeyError, match="bug"):
        run_bonafide("manifest")


def test_an_interrupt_ends_with_130_and_says_what_to_do(
    workspace: Path, run_bonafide: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.corpus.params.load_corpus_params", interrupt)
    code, output = run_bonafide("manifest")
    assert code == 130
    assert output == "interrupted: run the command again; earlier results stay until new ones are whole\n"


# What the commands do


def test_manifest_writes_the_manifest_and_tells_what_is_in_it(workspace: Path, run_bonafide: Any) -> None:
    write_corpus(workspace / "LA", 3)
    (workspace / "LA/ASVspoof2019_LA_dev/flac/LA_D_0000001.flac").unlink()
    code, output = run_bonafide("manifest")
    assert code == 0, output
    assert (workspace / "data" / "manifest.parquet").is_file()
    assert "9 utterances" in output
    assert "1 files cannot be used" in output


def test_protocols_are_checked_without_audio(workspace: Path, run_bonafide: Any) -> None:
    write_protocols(workspace / "LA")
    code, output = run_bonafide("manifest", "--protocol-only")
    assert code == 0, output
    assert output.count("│   9 │") == 3
    assert not (workspace / "data").exists()
