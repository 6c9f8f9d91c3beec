"""A small features job, run by the command on a cluster or another runner, and compared with a local run."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import yaml

from pipeline.corpus.manifest import build_manifest, write_manifest
from pipeline.job.run import run_features
from pipeline.params import load_params
from tests.support.synthetic_store import files_of

REPOSITORY = Path(__file__).resolve().parents[2]
SHARDS = 24
COPIES = 6
"""Enough work for a job to be still running when a process is killed."""
CLIPS_PER_SPLIT = 40


class Work:
    """A part of the sample corpus, its manifest, parameters with more copies, and the store of a local run."""

    def __init__(self, folder: Path, corpus: Path) -> None:
        self.corpus = corpus
        self.manifest_file = folder / "manifest.parquet"
        self.params_file = folder / "params.yaml"
        content = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
        content["augment"]["copies"] = COPIES
        content["augment"]["copy_synthesis"]["copies"] = 0
        self.params_file.write_text(yaml.safe_dump(content), encoding="utf-8")
        whole = build_manifest(corpus)
        taken = [
            row
            for split in ("train", "dev", "eval")
            for row in pc.indices_nonzero(pc.equal(whole["split"], split)).to_pylist()[:CLIPS_PER_SPLIT]
        ]
        self.manifest = whole.take(sorted(taken))
        write_manifest(self.manifest, self.manifest_file)
        self.store = folder / "store"
        local = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
        run_features(self.manifest, corpus, str(self.store), load_params(self.params_file), local)

    def command(self, output: Path | str, *more: str) -> list[str]:
        """The command that makes the same store elsewhere."""
        return [
            *(sys.executable, "-m", "bonafide", "features", "--params", str(self.params_file)),
            *("--manifest", str(self.manifest_file), "--root", str(self.corpus)),
            *("--output", str(output), *more),
        ]


class Run:
    """A command that runs, with what it prints."""

    def __init__(self, command: list[str]) -> None:
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"}
        environment.pop("BEAM_ARGS", None)
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def end(self, seconds: float = 240.0) -> tuple[int, str]:
        """Waits for its end; gives the exit status and what it printed."""
        try:
            _, printed = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, printed

    def wait_for(self, condition: Callable[[], Any], seconds: float = 120.0) -> None:
        """Waits while it runs."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.end()
            assert time.monotonic() < end, "the run did not come that far"
            time.sleep(0.02)

    def wait_until_mid_job(self, store: Path) -> None:
        """Waits until some shards are committed and others are being written."""
        self.wait_for(lambda: len(committed(store)) >= 3 and any(store.rglob("*.partial")))


def committed(store: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of the index parts that are there."""
    parts = (store / "index").glob("*-of-*.parquet")
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in parts}


def completes(run: Run, store: Path, work: Work, finished: dict[str, tuple[int, int]], kept: int) -> None:
    """Waits for a run that must complete the store: the bytes of a local run, no other file, no finished shard redone."""
    status, printed = run.end()
    assert status == 0, printed
    assert f"{kept} shards kept" in printed
    assert files_of(store) == files_of(work.store)
    assert {name: committed(store)[name] for name in finished} == finished, "a finished shard was redone"
