"""Results are printed on every terminal: names that are no UTF-8, and streams that take only ASCII or Latin-1."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

import bonafide
from tests.support.score_files import make_scores
from tests.support.synthetic_corpus import SAMPLE_RATE, waveform
from tests.test_hostile_names import write_named_corpus, write_parameters

# In a file system of bytes; half surrogates in Python.
ODD = os.fsdecode(b"caf\xe9 \xff")
ENCODINGS = ("ascii", "latin-1", "utf-8")


class OddTerminal:
    """Runs the console command in this process, with streams of another encoding."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def run(self, encoding: str, *arguments: object) -> str:
        """What a command printed that had to end well."""
        printed = io.BytesIO()
        stream = io.TextIOWrapper(printed, encoding=encoding, errors="strict", write_through=True)
        for name, value in (("stdout", stream), ("stderr", stream), ("argv", ["bonafide", *map(str, arguments)])):
            self._monkeypatch.setattr(sys, name, value)
        code = 0
        try:
            bonafide.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            stream.flush()
            text = printed.getvalue().decode(encoding, "replace")
        assert code == 0, (encoding, arguments, text[-3000:])
        return text


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OddTerminal:
    """In a folder whose name is no UTF-8."""
    folder = tmp_path / ODD
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    return OddTerminal(monkeypatch)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_scores_are_measured_compared_and_fused_whatever_the_files_are_called(
    encoding: str, terminal: OddTerminal
) -> None:
    names = [f"{letter}{ODD}.txt" for letter in "ab"]
    for number, name in enumerate(names):
        Path(name).write_text(make_scores(number))
    printed = terminal.run(encoding, "metrics", "--scores", names[0], "--dev-scores", names[1])
    assert "EER" in printed
    assert "caf\\udce9 \\udcff" in printed
    terminal.run(encoding, "metrics", "--scores", names[0], "--json")
    printed = terminal.run(encoding, "compare", *names, "--intervals", 10, "--flips", 3)
    assert ("B - A" if encoding != "utf-8" else "B − A") in printed
    options = [word for name in names for word in ("--dev", name, "--eval", name)]
    assert "fusion" in terminal.run(encoding, "fuse", *options, "--output", f"fused{ODD}")
    assert Path(f"fused{ODD}/fusion.json").is_file()


@pytest.mark.parametrize("locale", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C"}])
@pytest.mark.parametrize("encoding", [None, "ascii", "latin-1"])
def test_a_process_of_any_locale_prints_its_results(
    locale: dict[str, str], encoding: str | None, tmp_path: Path, repository: Path
) -> None:
    for letter in "ab":
        (tmp_path / f"{letter}{ODD}.txt").write_text(make_scores(ord(letter)))
    environment = os.environ | locale | ({"PYTHONIOENCODING": encoding} if encoding else {})
    environment["PYTHONPATH"] = str(repository)
    done = subprocess.run(
        [sys.executable, "-m", "bonafide", "compare", f"a{ODD}.txt", f"b{ODD}.txt", "--intervals", "10"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"verdicts flip" in done.stdout


@pytest.mark.slow
def test_every_command_prints_and_writes_whatever_the_files_are_called(terminal: OddTerminal) -> None:
    write_named_corpus(Path("corpus"))
    write_parameters(Path("params.yaml"))
    outputs = {name: f"{name}{ODD}" for name in ("store", "model", "evaluation", "data", "curves", "export", "audio")}
    manifest, store = f"manifest{ODD}.parquet", ("--store", outputs["store"])
    model, evaluation = ("--model", outputs["model"]), ("--evaluation", outputs["evaluation"])
    once = "ascii"
    terminal.run(once, "manifest", "--output", manifest)
    terminal.run(once, "features", "--workers", 1, "--manifest", manifest, "--output", outputs["store"])
    terminal.run(once, "validate", *store, "--output", outputs["data"])
    terminal.run(once, "train", *store, "--output", outputs["model"], "--report", outputs["curves"])
    terminal.run(once, "evaluate", *store, *model, "--manifest", manifest, "--output", outputs["evaluation"])
    reports = ("--train-report", outputs["curves"], "--data-report", outputs["data"])
    terminal.run(
        once, "report", *store, *model, *evaluation, *reports, "--manifest", manifest, "--output", f"{ODD}.html"
    )
    terminal.run(once, "export", *model, "--output", outputs["export"])
    Path(outputs["audio"]).mkdir()
    soundfile.write(file := io.BytesIO(), waveform("odd"), SAMPLE_RATE, format="WAV")
    Path(outputs["audio"], f"{ODD}.wav").write_bytes(file.getvalue())
    terminal.run(once, "score", outputs["audio"], *model, "--json")
    terminal.run(once, "store", "verify", outputs["store"], "--manifest", manifest)
    terminal.run(once, "store", "stats", outputs["store"])
    terminal.run(once, "store", "diff", outputs["store"], outputs["store"])
    terminal.run(once, "store", "select", *store, "--csv", "-")
    for encoding in ENCODINGS:
        assert "caf\\udce9" in terminal.run(encoding, "score", outputs["audio"], *model)
        terminal.run(encoding, "store", "show", outputs["store"])
        terminal.run(encoding, "store", "select", *store)
        terminal.run(encoding, "--help")
