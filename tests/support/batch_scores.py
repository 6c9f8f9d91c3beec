"""A small corpus that a toy model scores on any Beam runner, and the rows of its score files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from model.batch.exported import read_exported
from model.batch.run import run_batch
from pipeline.corpus.manifest import build_manifest
from tests.support.synthetic_corpus import write_corpus
from tests.support.toy_export import write_toy_export

IN_THIS_PROCESS = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of all shards below an output, by utterance."""
    parts = [pq.read_table(path) for path in sorted((folder / "shards").iterdir())]
    return {row["utterance_id"]: row for row in pa.concat_tables(parts).to_pylist()}


def require_the_scores_of_this_machine(folder: Path, flags: Sequence[str]) -> None:
    """Makes sure that a runner gives every clip the score of a run in this process, within 1e-5."""
    root, model = write_corpus(folder / "la", duration_s=0.3), read_exported(write_toy_export(folder / "toy"))
    manifest = build_manifest(root)
    for name, its_flags in (("here", IN_THIS_PROCESS), ("there", flags)):
        result = run_batch(manifest, root, model, str(folder / name), its_flags, clips_per_shard=4)
        assert (result.kept, result.n_clips, result.problems.total()) == (0, manifest.num_rows, 0)
    here, there = rows_of(folder / "here"), rows_of(folder / "there")
    assert there.keys() == here.keys()
    assert max(abs(there[name]["score"] - here[name]["score"]) for name in here) <= 1e-5
    assert {name: row["verdict"] for name, row in there.items()} == {name: row["verdict"] for name, row in here.items()}
