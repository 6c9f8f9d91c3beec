"""The features job on a Flink cluster and on Beam's local runner, with the same number of worker processes, in one run.

Starts real clusters on this machine with 1 and 2 TaskManagers of 1 and 2 slots. Wall time is that of the whole run, from the
plan to the closed store; a worker's rate counts only the time in which it works, so the difference between them is what
starting, the preflight and waiting cost. The stores are compared byte by byte. Needs `make flink-cache` once.

    python benchmarks/bench_flink.py --copies 3
    python benchmarks/bench_flink.py --root PATH/TO/LA --copies 3 --repeats 2
"""

import argparse
import contextlib
import filecmp
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.job.run import FeaturesResult

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "deploy" / "flink"))

CLUSTERS = ((1, 1), (1, 2), (2, 1))
"""TaskManagers, slots of each."""


@contextlib.contextmanager
def local(workers: int) -> Iterator[list[str]]:
    """Gives the flags of a local run."""
    from pipeline.runners.profiles import pipeline_options

    yield pipeline_options("local", [], workers)


@contextlib.contextmanager
def flink(task_managers: int, slots: int) -> Iterator[list[str]]:
    """Runs a cluster and gives the flags that reach it."""
    from cluster import STANDIN_JAR, LocalCluster

    from pipeline.runners.profiles import pipeline_options

    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(Path(folder), task_managers=task_managers, slots=slots) as cluster,
    ):
        yield pipeline_options("flink", [*cluster.beam_flags(), f"--flink_job_server_jar={STANDIN_JAR}"], None)


def differing(left: Path, right: Path) -> list[str]:
    """Names of the files of two stores that are not the same, or not in both."""
    names = {str(path.relative_to(root)) for root in (left, right) for path in root.rglob("*") if path.is_file()}
    return sorted(name for name in names if not filecmp.cmp(left / name, right / name, shallow=False))


def at_work(result: "FeaturesResult") -> float:
    """Seconds that the busiest worker spent on its shards."""
    return max(worker.busy_s for worker in result.counts.workers.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=REPOSITORY / "data" / "sample" / "LA", help="corpus")
    parser.add_argument("--copies", type=int, default=3, help="augmented copies per train clip (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each kind, in turn; the best counts")
    arguments = parser.parse_args()

    from pipeline.runners.beam_log import hush_beam

    hush_beam()
    from pipeline.corpus.manifest import build_manifest
    from pipeline.job.run import run_features
    from pipeline.params import load_params

    params = load_params(REPOSITORY / "params.yaml")
    params = params.model_copy(update={"augment": params.augment.model_copy(update={"copies": arguments.copies})})
    manifest = build_manifest(arguments.root)
    kinds: dict[str, Callable[[], contextlib.AbstractContextManager[list[str]]]] = {
        "local, 1 worker": lambda: local(1),
        "local, 2 workers": lambda: local(2),
        **{
            f"Flink, {managers} TaskManager{'s' if managers > 1 else ''} x {slots} slot{'s' if slots > 1 else ''}": (
                lambda managers=managers, slots=slots: flink(managers, slots)
            )
            for managers, slots in CLUSTERS
        },
    }
    best: dict[str, FeaturesResult] = {}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(arguments.repeats):
            for number, (kind, start) in enumerate(kinds.items()):
                store = Path(folder) / f"{number}-{repeat}"
                with start() as flags:
                    result = run_features(manifest, arguments.root, str(store), params, flags)
                print(f"{time.strftime('%H:%M:%S')} {kind}: {result.seconds:.1f} s", file=sys.stderr, flush=True)
                if kind not in best or result.seconds < best[kind].seconds:
                    best[kind] = result
                assert not differing(Path(folder) / "0-0", store), f"{kind} gave other bytes"
    print(
        f"{manifest.num_rows:,} clips, {arguments.copies} copies of each train clip; every store has the same bytes\n"
    )
    print(
        "| where | wall | beside the work | at work | clips/s of a worker at work | wall against local, 1 worker | work |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    first = best["local, 1 worker"]
    for kind, result in best.items():
        workers = result.counts.workers.values()
        rate = sum(worker.clips for worker in workers) / sum(worker.busy_s for worker in workers)
        print(
            f"| {kind} | {result.seconds:.1f} s | {result.seconds - at_work(result):.1f} s | {at_work(result):.1f} s "
            f"| {rate:.0f} | {first.seconds / result.seconds:.2f} x | {at_work(first) / at_work(result):.2f} x |"
        )


if __name__ == "__main__":
    main()
