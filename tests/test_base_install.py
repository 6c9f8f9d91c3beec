"""A machine with the base dependencies alone, as a cluster worker has them, runs the pipeline."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.synthetic_corpus import write_corpus

pytestmark = pytest.mark.slow

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "bonafide.py", "pipeline", "model")
ABSENT = {"tensorflow", "tensorflow-io", "keras", "dvc", "dvclive", "scikit-learn", "librosa", "boto3", "pytest"}


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "BEAM_ARGS")}
    return subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=400, check=False
    )


def succeed(*command: str | Path, cwd: Path | None = None) -> str:
    result = run(*command, cwd=cwd)
    assert result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The programs of a fresh environment: the project without extras; uv checks the lock's versions and hashes."""
    folder = tmp_path_factory.mktemp("base")
    # Building in the checkout would leave files there.
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        path = repository / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    uv = (sys.executable, "-m", "uv")
    succeed(*uv, "venv", "--python", sys.executable, folder / "venv")
    install = (*uv, "pip", "install", "--python", folder / "venv", "--constraints", repository / "requirements.lock")
    # The cache alone serves where there is no network; without a full cache the packages are fetched.
    if run(*install, "--offline", source).returncode != 0:
        succeed(*install, source)
    return folder / "venv" / "bin"


def test_no_package_of_an_extra_is_installed_and_every_version_is_the_locked_one(base: Path, repository: Path) -> None:
    listed = json.loads(
        succeed(sys.executable, "-m", "uv", "pip", "list", "--format=json", "--python", base / "python")
    )
    lock = (repository / "requirements.lock").read_text(encoding="utf-8")
    assert {package["name"] for package in listed} & ABSENT == set()
    strangers = [
        package
        for package in listed
        if package["name"] != "bonafide" and f"\n{package['name']}=={package['version']} " not in f"\n{lock}"
    ]
    assert strangers == []


def test_the_pipeline_runs_without_tensorflow(base: Path, tmp_path: Path, repository: Path) -> None:
    assert run(base / "python", "-c", "import tensorflow").returncode == 1
    params = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["root"] = "LA"
    params["store"]["shards"] = 1
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    write_corpus(tmp_path / "LA", n_utterances=3)
    succeed(base / "bonafide", "manifest", cwd=tmp_path)
    succeed(base / "bonafide", "features", "--workers", "1", cwd=tmp_path)
    info = json.loads((tmp_path / "data" / "features" / "store.json").read_text(encoding="utf-8"))
    # One of three train clips is bona fide and has twins of each of its copies.
    augment = info["parameters"]["augment"]
    assert {split: counts["examples"] for split, counts in info["splits"].items()} == {
        "train": (1 + augment["copies"]) * (3 + augment["copy_synthesis"]["copies"]),
        "dev": 3,
        "eval": 3,
    }
    succeed(base / "bonafide", "store", "verify", "data/features", cwd=tmp_path)
    succeed(base / "bonafide", "validate", cwd=tmp_path)
    assert json.loads((tmp_path / "reports" / "data" / "validation.json").read_text())["train"]["bona_fide"] > 0


def test_the_metrics_of_a_score_file_need_no_tensorflow(base: Path, tmp_path: Path) -> None:
    lines = [
        f"u{number} {'-' if number % 2 else 'A01'} {'bonafide' if number % 2 else 'spoof'} {number % 2 + number / 99}"
        for number in range(20)
    ]
    (tmp_path / "scores.txt").write_text("\n".join(lines) + "\n")
    printed = json.loads(succeed(base / "bonafide", "metrics", "--scores", "scores.txt", "--json", cwd=tmp_path))
    assert printed["eer"] == 0.0
