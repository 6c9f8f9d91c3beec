"""Random access by id: `FeatureStore.get` compared with `np.load` of one file per clip, both warm, in one run.

It needs no corpus: the records are random, with 80 bins; 340 frames are the mean of ASVspoof 2019 LA. The same number of records
is stored with short and with long clips, because memory must not grow with the data. Each reader and store is measured in a
process of its own. Example: python benchmarks/bench_store.py --records 12000
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

N_BINS = 80
GETS = 20_000


def write(folder: Path, n_records: int, n_frames: int) -> None:
    """Writes a store and, beside it, one .npy file per clip."""
    import pyarrow as pa

    from pipeline.audio.measures import Measures
    from pipeline.corpus.schema import MANIFEST_SCHEMA
    from pipeline.params import load_params
    from pipeline.storage import open_storage
    from pipeline.store.close import close_store
    from pipeline.store.lineage import Config
    from pipeline.store.sharding import assign_shards
    from pipeline.store.writer import StoredExample, write_shard

    params = load_params(Path(__file__).resolve().parent.parent / "params.yaml")
    augment = params.augment.model_copy(update={"copies": 0})
    rows = [
        {
            "split": "train",
            "utterance_id": utterance_id(number),
            "label": number % 2,
            "attack_id": None if number % 2 else "A01",
            "path": f"{number}.flac",
            "duration_s": n_frames / 100,
            "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
        }
        for number in range(n_records)
    ]
    shards = assign_shards(
        pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), params.store, params.features, augment.copies
    )
    storage, config = open_storage(folder / "store"), Config.current(params.features, augment)
    measures = Measures(0.1, 0.1, -25.0, -3.0, 7000.0)
    (folder / "npy").mkdir()
    for shard in shards:
        examples = []
        for source in shard.sources:
            values = np.random.default_rng(int(source.utterance_id[5:])).uniform(-100, 0, (n_frames, N_BINS))
            features = values.astype(np.float16)
            np.save(folder / "npy" / f"{source.utterance_id}.npy", features)
            examples.append(StoredExample(source, 0, features, {}, n_frames / 100, n_frames / 100, measures))
        write_shard(storage, shard, config, examples)
    close_store(storage, shards, config)


def utterance_id(number: int) -> str:
    return f"LA_T_{number:07d}"


def own_memory_mib() -> float:
    """Memory of this process without files of the page cache: anonymous resident pages, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no RssAnon: this benchmark needs Linux")


def read(folder: Path, how: str, n_records: int, gets: int) -> dict[str, float]:
    """Reads clips at random and gives rate and memory; it runs in a process of its own."""
    from pipeline.store import FeatureStore

    names = [utterance_id(number) for number in np.random.default_rng(7).integers(0, n_records, gets)]
    if how == "store":
        store = FeatureStore.open(folder / "store")
        get = lambda name: store.get(name).features  # noqa: E731
    else:
        get = lambda name: np.load(folder / "npy" / f"{name}.npy")  # noqa: E731
    for number in range(n_records):  # warm: every file is in the page cache, and the id table exists
        get(utterance_id(number))
    opened = own_memory_mib()
    total = 0.0
    began, began_cpu = time.perf_counter(), time.process_time()
    for name in names:
        total += float(get(name)[0, 0])
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    return {
        "gets_per_s": gets / seconds,
        "cpu_us": cpu_s / gets * 1e6,
        "open_mib": opened,
        "after_mib": own_memory_mib(),
        "sum": total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=12_000)
    parser.add_argument("--frames", type=int, nargs="+", default=[40, 340], help="Of each clip, a store for each.")
    parser.add_argument("--gets", type=int, default=GETS)
    parser.add_argument("--folder", type=Path, help="Where to write; default: a temporary folder.")
    parser.add_argument("--read", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        folder, how, n_records = arguments.read
        print(json.dumps(read(Path(folder), how, int(n_records), arguments.gets)))
        return
    print(
        f"{'reader':<22}{'frames':>9}{'data':>12}{'gets/s':>10}{'CPU/get':>10}{'memory opened':>16}{'after the gets':>16}"
    )
    n_records = arguments.records
    for n_frames in arguments.frames:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            write(Path(name), n_records, n_frames)
            size = sum(path.stat().st_size for path in (Path(name) / "store").rglob("*") if path.is_file())
            sums = []
            for how, title in (("store", "FeatureStore.get"), ("npy", "np.load, file per clip")):
                command = [sys.executable, __file__, "--read", name, how, str(n_records), "--gets", str(arguments.gets)]
                result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                sums.append(result["sum"])
                print(
                    f"{title:<22}{n_frames:>9,}{size / 2**20:>8.0f} MiB{result['gets_per_s']:>10,.0f}"
                    f"{result['cpu_us']:>7.0f} µs"
                    f"{result['open_mib']:>12.1f} MiB{result['after_mib']:>12.1f} MiB"
                )
            if sums[0] != sums[1]:
                raise SystemExit("the two readers gave different values")


if __name__ == "__main__":
    main()
