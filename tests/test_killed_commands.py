"""Commands that are killed: nothing runs on, nothing of the old result is lost, and the next run ends as if undisturbed.

`BONAFIDE_KILLS` is the number of kills of each command, 1 by default.
"""

import http.server
import os
import random
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from tests.support import tone_store
from tests.support.corpus_zip import ARCHIVE
from tests.support.killed_command import ConsoleCommand, Ended
from tests.support.parameters import project_parameters
from tests.support.synthetic_corpus import write_corpus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

KILLS = int(os.environ.get("BONAFIDE_KILLS", "1"))
# What each command writes.
OUTPUTS = {
    "train": ("model", "curves"),
    "evaluate": ("evaluation",),
    "export": ("export",),
    "report": ("index.html",),
    "download": ("raw",),
}


@dataclass
class Project:
    """A folder with a store, parameters and the results of undisturbed commands.

    Attributes:
        folder: The folder.
        seconds: Wall time of each undisturbed command.
    """

    folder: Path
    url: str
    seconds: dict[str, float]

    def arguments(self, command: str) -> tuple[object, ...]:
        common = ("--store", self.folder / "store", "--params", self.folder / "params.yaml")
        model = ("--model", self.folder / "model")
        return {
            "train": (*common, "--output", "model", "--report", "curves"),
            "evaluate": (*common, *model, "--no-audit", "--output", "evaluation"),
            "export": (*model, "--output", "export"),
            "report": (
                *(*common, *model, "--evaluation", self.folder / "evaluation", "--output", "index.html"),
                *("--manifest", "none", "--train-report", self.folder / "curves", "--data-report", "none"),
            ),
            "download": ("asvspoof2019-la", "--to", "raw", "--url", self.url, "--sha256", sha256(ARCHIVE).hexdigest()),
        }[command]

    def command(self, command: str, folder: Path) -> ConsoleCommand:
        return ConsoleCommand(folder, command, *self.arguments(command))


@pytest.fixture(scope="module")
def archive_url() -> Iterator[str]:
    """A server that sends the archive within about two seconds, and parts of it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(match[1]) if match else 0
            self.send_response(206 if match else 200)
            if match:
                self.send_header("Content-Range", f"bytes {start}-{len(ARCHIVE) - 1}/{len(ARCHIVE)}")
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", str(len(ARCHIVE) - start))
            self.end_headers()
            for at in range(start, len(ARCHIVE), 1 << 16):
                try:
                    self.wfile.write(ARCHIVE[at : at + (1 << 16)])
                except OSError:
                    return
                time.sleep(0.04)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/LA.zip"
        httpd.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, archive_url: str) -> Project:
    folder = tmp_path_factory.mktemp("undisturbed")
    params = tone_store.tone_params()
    tone_store.write_tone_store(folder / "store", tone_store.tone_manifest(), params)
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    project = Project(folder, archive_url, {})
    for command in OUTPUTS:
        ended = project.command(command, folder).run()
        assert ended.code == 0, ended.printed
        project.seconds[command] = ended.seconds
    return project


def content(path: Path) -> dict[str, bytes]:
    """Every file at or below a path, hidden ones too."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return {file.relative_to(path.parent).as_posix(): file.read_bytes() for file in files if file.is_file()}


def write_old(project: Project, folder: Path, name: str) -> None:
    """Writes an earlier result: the files of the undisturbed one with other content."""
    source = project.folder / name
    for file in [source] if source.is_file() else source.rglob("*"):
        if file.is_file():
            target = folder / file.relative_to(project.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"old")


@pytest.mark.parametrize("seed", range(KILLS))
@pytest.mark.parametrize("command", OUTPUTS)
def test_a_killed_command_loses_nothing_and_the_next_run_ends_like_an_undisturbed_one(
    project: Project, tmp_path: Path, command: str, seed: int
) -> None:
    draw = random.Random(f"{command} {seed}")
    names = OUTPUTS[command]
    if command != "download":  # which never replaces a corpus
        for name in names:
            write_old(project, tmp_path, name)
    old = {name: content(tmp_path / name) for name in names}
    new = {name: content(project.folder / name) for name in names}
    again = project.command(command, tmp_path)

    # More often late, when files are written.
    number = draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
    killed = again.signalled(project.seconds[command] * draw.uniform(0.05, 1.05) ** 0.5, number)

    assert killed.left == []
    if command == "download":
        corpus = {f"raw/{name}": data for name, data in content(tmp_path / "raw" / "LA").items()}
        assert corpus in ({}, new["raw"])
    else:
        for name in names:
            assert content(tmp_path / name) in (old[name], new[name]), f"{name} is neither old nor new"
    resumes = (tmp_path / ".model.work" / "checkpoint.npz").exists()
    ended = again.run()
    assert ended.code == 0, ended.printed
    assert {name: content(tmp_path / name) for name in names} == new
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert ("Resuming at step" in ended.printed) == resumes


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A folder with a corpus and its manifest, and the wall time of `features` on it."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder / "LA", 40)
    params = project_parameters()
    params["data"]["root"] = str(folder / "LA")
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    ended = ConsoleCommand(folder, "manifest", "--output", "manifest.parquet").run()
    assert ended.code == 0, ended.printed
    ended = features(folder, "undisturbed").run()
    assert ended.code == 0, ended.printed
    return folder, ended.seconds


def features(folder: Path, output: str) -> ConsoleCommand:
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    arguments = ("--manifest", "manifest.parquet", "--workers", 2, "--output", output)
    return ConsoleCommand(folder, "features", *arguments, environment={"TMPDIR": str(temporary)})


# Start, work and close of an undisturbed run, as shares of its time.
PHASES = {"start": (0.1, 0.5), "work": (0.5, 0.9), "close": (0.9, 1.02)}


def check_end(ended: Ended, number: signal.Signals) -> None:
    assert ended.left == []
    assert "Traceback" not in ended.printed, ended.printed
    if number is signal.SIGKILL:
        assert ended.code in (-signal.SIGKILL, 0)
    elif ended.code:
        assert ended.code in (128 + number, -number)
        if ended.code > 0:
            assert "interrupted: run the command again" in ended.printed


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        ("start", signal.SIGKILL),
        ("start", signal.SIGTERM),
        ("work", signal.SIGKILL),
        ("work", signal.SIGINT),
        ("close", signal.SIGTERM),
    ],
)
def test_no_process_of_features_runs_two_seconds_after_its_end_in_any_phase(
    corpus: tuple[Path, float], phase: str, number: signal.Signals
) -> None:
    folder, seconds = corpus
    draw = random.Random(f"{phase} {number}")
    for trial in range(KILLS):
        output = f"{phase}-{number}-{trial}"
        ended = features(folder, output).signalled(seconds * draw.uniform(*PHASES[phase]), number)
        check_end(ended, number)
        if number is not signal.SIGKILL:
            assert list((folder / "tmp").iterdir()) == [], "a temporary file stays"
            assert not list((folder / output).rglob(".*")), "an unfinished shard stays"
            assert not list(folder.glob(f".{output}.*")), "a worklist or a lock stays"
        again = features(folder, output).run()
        assert again.code == 0, again.printed
        assert content(folder / output) == {
            name.replace("undisturbed", output, 1): data for name, data in content(folder / "undisturbed").items()
        }
        assert list((folder / "tmp").iterdir()) == []
        shutil.rmtree(folder / output)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_of_plan_runs_two_seconds_after_its_end(
    corpus: tuple[Path, float], tmp_path: Path, number: signal.Signals
) -> None:
    params = corpus[0] / "params.yaml"
    command = ConsoleCommand(
        tmp_path,
        "plan",
        "--clips",
        1000,
        "--mean-seconds",
        3,
        "--params",
        params,
        environment={"TMPDIR": str(tmp_path)},
    )
    draw = random.Random(number)
    for _ in range(KILLS):
        check_end(command.signalled(draw.uniform(0.5, 9.0), number), number)


def test_an_interrupted_stage_of_dvc_names_the_command_of_dvc(corpus: tuple[Path, float]) -> None:
    folder, seconds = corpus
    # A machine with less to do than when the time was taken may have finished before the first signal.
    for number, share in enumerate((0.5, 0.25, 0.12)):
        command = ConsoleCommand(
            folder,
            *("features", "--manifest", "manifest.parquet", "--output", f"stage-{number}"),
            environment={"DVC_STAGE": "features"},
        )
        ended = command.signalled(share * seconds, signal.SIGTERM)
        if ended.code:
            break
    assert ended.code == 128 + signal.SIGTERM
    assert ended.printed.rstrip().endswith("interrupted: run `dvc repro` again; finished shards are kept")
