"""A corpus of a million tiny clips through the commands `manifest` and `features`: their memory, time, and what is written.

    python -m benchmarks.bench_large_corpus --clips 1_000_000 --folder /a/large/disk

The corpus is that of `bench_memory.py`: hard links to FLACs of 0.2 s, in the ASVspoof 2019 LA layout. The commands run as a
user runs them, without copies or twins, on every core. Memory is the resident set of the command itself, and of the largest of
its workers, sampled ten times a second. A clip of the store takes 8 kB.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

from benchmarks.bench_memory import write_corpus

REPOSITORY = Path(__file__).resolve().parent.parent


def write_parameters(path: Path) -> None:
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["augment"]["copies"] = params["augment"]["copy_synthesis"]["copies"] = 0
    path.write_text(yaml.safe_dump(params))


def run(folder: Path, *arguments: object) -> dict[str, float]:
    """Runs a command to its end; gives wall and CPU seconds, and the peaks of memory in MiB."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "bonafide", *map(str, arguments)]
    began = time.perf_counter()
    process = psutil.Popen(command, cwd=folder, env=environment)
    own = worker = 0
    cpu = 0.0
    while process.poll() is None:
        try:
            own = max(own, process.memory_info().rss)
            times = process.cpu_times()
            cpu = times.user + times.system
            worker = max([worker, *(child.memory_info().rss for child in process.children(recursive=True))])
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return {
        "seconds": time.perf_counter() - began,
        "cpu_s_of_the_command": cpu,
        "command_mib": own / 2**20,
        "largest_worker_mib": worker / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="Where the corpus and the store are made; default: the system's.")
    parser.add_argument("--json", type=Path, help="Write the figures here.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bonafide-large-", dir=arguments.folder) as name:
        folder = Path(name)
        began = time.perf_counter()
        write_corpus(folder / "LA", arguments.clips)
        write_parameters(folder / "params.yaml")
        print(f"corpus of {arguments.clips:,} clips written in {time.perf_counter() - began:.0f} s", flush=True)
        figures = {
            "clips": arguments.clips,
            "manifest": run(folder, "manifest", "--root", "LA", "--output", "m.parquet"),
        }
        print(json.dumps(figures["manifest"]), flush=True)
        figures["features"] = run(folder, "features", "--manifest", "m.parquet", "--root", "LA", "--output", "store")
        print(json.dumps(figures["features"]), flush=True)
        figures["again"] = run(folder, "features", "--manifest", "m.parquet", "--root", "LA", "--output", "store")
        sizes = [path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file()]
        figures |= {"store_mib": sum(sizes) / 2**20, "store_files": len(sizes)}
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
