"""What the commands cost beside their work: a run with nothing to do, `store show`, and a whole run against a bare loop.

Times are CPU times of the command and its workers. The bare loop extracts and writes the same shards in one process without
Beam, manifest or index; what the command takes more is starting, planning, the workers' imports and closing the store.

    python -m benchmarks.bench_commands
    python -m benchmarks.bench_commands --run-clips 12000
"""

import argparse
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.clips import Clips, cut_clips
from benchmarks.harness import REPOSITORY, Pairs, Row, absolute, child_cpu_s, cpu_s, parser, report
from pipeline.corpus.manifest import read_manifest
from pipeline.corpus.schema import MANIFEST_SCHEMA
from pipeline.job.worker import Extractor
from pipeline.params import Params, load_params
from pipeline.storage import open_storage
from pipeline.store.lineage import Config
from pipeline.store.sharding import assign_shards
from pipeline.store.writer import write_shard

NO_OP_LIMIT_S = 1.5
SHOW_LIMIT_S = 0.6
BARE_LOOP_LIMIT = 1 / 1.10
"""A run takes at most 1.10 times the bare loop."""

BONAFIDE = (sys.executable, "-m", "bonafide")


def write_inputs(folder: Path, clips: Clips, count: int) -> tuple[Path, Path]:
    """Writes a manifest of `count` clips, which share the given files, and parameters without copies; gives their paths."""
    files = clips.sources()
    rows = [
        {
            "split": ("train", "dev", "eval")[number % 3],
            "utterance_id": f"LA_{number:08d}",
            "speaker_id": f"LA_{number % 40:04d}",
            "label": number // 3 % 2,
            "attack_id": None if number // 3 % 2 else "A01",
            "path": files[number % len(files)].path,
            "sha256": files[number % len(files)].sha256,
            "duration_s": 3.1,
        }
        for number in range(count)
    ]
    manifest, params = folder / "manifest.parquet", folder / "params.yaml"
    pq.write_table(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), manifest)
    content = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    content["augment"]["copies"] = 0
    params.write_text(yaml.safe_dump(content), encoding="utf-8")
    return manifest, params


def bare_loop(manifest: Path, root: Path, params: Params, output: Path) -> None:
    """Extracts and writes the shards of a manifest, one after the other."""
    shards = assign_shards(read_manifest(manifest), params.store, params.features, params.augment.copies)
    extract = Extractor(root, params.features, params.augment)
    storage, config = open_storage(output), Config.current(params.features, params.augment)
    for shard in shards:
        write_shard(storage, shard, config, extract(shard))


def rows(arguments: argparse.Namespace) -> list[Row]:
    """All rows."""
    with tempfile.TemporaryDirectory(prefix="bonafide-bench-") as name:
        folder = Path(name)
        (folder / "clips").mkdir()
        clips = cut_clips(folder / "clips", arguments.clips)
        manifest, parameters = write_inputs(folder, clips, arguments.run_clips)
        params = load_params(parameters)
        store = folder / "store"
        features = (
            *(*BONAFIDE, "features", "--params", str(parameters), "--manifest", str(manifest)),
            *("--root", str(clips.folder), "--output", str(store), "--workers", "1"),
        )
        runs = Pairs()
        runs.own_s.append(child_cpu_s(features))
        runs.peer_s.append(cpu_s(lambda: bare_loop(manifest, clips.folder, params, folder / "bare")))
        no_op = [child_cpu_s(features) for _ in range(arguments.passes)]
        show = [child_cpu_s([*BONAFIDE, "store", "show", str(store)]) for _ in range(arguments.passes)]
    name = f"features, a run of {arguments.run_clips:,} clips, one worker"
    # One run each: start and close are a few seconds of a minute.
    return [
        absolute("features with nothing to do", no_op, "CPU s", NO_OP_LIMIT_S),
        absolute("store show", show, "CPU s", SHOW_LIMIT_S),
        runs.row(name, "bare loop", round(BARE_LOOP_LIMIT, 3), arguments.run_clips, "clip"),
    ]


def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--run-clips", type=int, default=12_000, help="of the run (default: %(default)s)")
    options.add_argument("--clips", type=int, default=200, help="files that they share (default: %(default)s)")
    arguments = options.parse_args(argv)
    report(__doc__, rows(arguments), arguments.json)


if __name__ == "__main__":
    main()
