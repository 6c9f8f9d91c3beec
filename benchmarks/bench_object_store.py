"""The features job with audio in a bucket and with the same audio in a folder, with as many workers, in one run.

The buckets are on real servers on this machine (an S3-compatible one, fake-gcs-server), each behind a proxy that delays every
request. The stores are written to a local folder and compared byte by byte. "At work" is the time of the busiest worker on its
shards, which is where audio is read. Needs Go the first time, to build the servers.

    python benchmarks/bench_object_store.py --repeats 3
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.job.run import FeaturesResult

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

LOCAL = "local folder"
TARGET = 1.3
"""Longest time at work with audio in a bucket, as a multiple of that with a folder."""


def busiest(result: "FeaturesResult") -> float:
    """Seconds that the busiest worker spent on its shards."""
    return max(worker.busy_s for worker in result.counts.workers.values())


@contextlib.contextmanager
def buckets(corpus: Path, delay_s: float, fail_every: int) -> Iterator[dict[str, str]]:
    """Runs the servers with a copy of the corpus; gives the address of the audio by the name of the kind."""
    from tests.support import gcs_server, s3_server
    from tests.support.bad_proxy import bad_proxy
    from tests.support.buckets import upload

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        for name in ("s3", "gcs"):
            (Path(folder) / name).mkdir()
        s3 = stack.enter_context(s3_server.run(Path(folder) / "s3"))
        gcs = stack.enter_context(gcs_server.run(Path(folder) / "gcs"))
        os.environ.update(s3.environment | gcs.environment)
        found = {
            "S3": upload(corpus, f"s3://{s3.bucket}/corpus"),
            "Google Cloud Storage": upload(corpus, f"gs://{gcs.bucket}/corpus"),
        }
        for variable in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
            address, _ = stack.enter_context(bad_proxy(os.environ[variable], delay_s, fail_every))
            os.environ[variable] = address
        yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=REPOSITORY / "data" / "sample" / "LA", help="corpus")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default: %(default)s)")
    parser.add_argument("--delay-ms", type=float, default=30.0, help="added to each request (default: %(default)s)")
    parser.add_argument("--fail-every", type=int, default=0, help="one of so many requests fails (default: none)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind, in turn (default: %(default)s)")
    arguments = parser.parse_args()

    from pipeline.runners.beam_log import hush_beam

    hush_beam()
    from pipeline.corpus.manifest import build_manifest
    from pipeline.job.run import run_features
    from pipeline.params import load_params
    from pipeline.runners.profiles import pipeline_options
    from tests.support.synthetic_store import files_of

    params = load_params(REPOSITORY / "params.yaml")
    manifest = build_manifest(arguments.root)
    flags = pipeline_options("local", [], arguments.workers)
    results: dict[str, list[FeaturesResult]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        buckets(arguments.root, arguments.delay_ms / 1000, arguments.fail_every) as places,
    ):
        expected = None
        for repeat in range(arguments.repeats):
            for number, (kind, root) in enumerate({LOCAL: str(arguments.root), **places}.items()):
                store = Path(folder) / f"{number}-{repeat}"
                result = run_features(manifest, root, str(store), params, flags)
                results.setdefault(kind, []).append(result)
                print(f"{time.strftime('%H:%M:%S')} {kind}: {result.seconds:.1f} s", file=sys.stderr, flush=True)
                written = files_of(store)
                expected = expected or written
                assert written == expected, f"{kind} gave other bytes"
    print(
        f"{manifest.num_rows:,} clips, {arguments.workers} workers, {arguments.delay_ms:g} ms added to each request, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; every store has the same bytes\n"
    )
    print("| audio in | wall | at work | at work, against a local folder: median (of each run) | target |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind, runs in results.items():
        ratios = [busiest(run) / busiest(local) for run, local in zip(runs, results[LOCAL], strict=True)]
        spread = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        wall, work = (statistics.median(times) for times in ([run.seconds for run in runs], [*map(busiest, runs)]))
        target = "" if kind == LOCAL else f"{TARGET} x"
        print(f"| {kind} | {wall:.1f} s | {work:.1f} s | {statistics.median(ratios):.2f} x ({spread}) | {target} |")


if __name__ == "__main__":
    main()
