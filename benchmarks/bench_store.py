"""The feature store compared with other ways to keep spectrograms: writing shards, and reading clips at random by id.

Writing: `write_shard` (records, index, checksums, statistics, atomic) against Beam's `WriteToTFRecord` of the same examples
in one process, and against lhotse's writer; log-Mel with writing against lhotse's `Fbank` with its writer. Reading:
`FeatureStore.get`, which checks the checksums, against `np.load` of one file per clip; both find the files in the page
cache. The memory of a reader is measured in a process of its own, for short and for long clips: it must not grow with them.

    python -m benchmarks.bench_store --records 12000
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks import peers
from benchmarks.clips import FEATURES, SAMPLE_RATE, Clips, cut_clips
from benchmarks.harness import REPOSITORY, Row, absolute, in_turn, parser, report, skipped
from pipeline.audio.measures import Measures
from pipeline.corpus.schema import MANIFEST_SCHEMA
from pipeline.frontends import make_front_end
from pipeline.params import load_params
from pipeline.storage import open_storage
from pipeline.store import FeatureStore
from pipeline.store.close import close_store
from pipeline.store.lineage import Config
from pipeline.store.schema import shard_name
from pipeline.store.sharding import Shard, Source, assign_shards
from pipeline.store.writer import StoredExample, write_shard

N_BINS = FEATURES.n_mels
FRAMES = 311
"""Of a clip of 3.1 s."""

MEASURES = Measures(0.1, 0.1, -25.0, -3.0, 7000.0)
_AUGMENT = load_params(REPOSITORY / "params.yaml").augment
NO_TWINS = _AUGMENT.copy_synthesis.model_copy(update={"copies": 0})
AUGMENT = _AUGMENT.model_copy(update={"copies": 0, "copy_synthesis": NO_TWINS})
CONFIG = Config.current(FEATURES, AUGMENT)


def utterance_id(number: int) -> str:
    return f"LA_T_{number:07d}"


def values(number: int, n_frames: int) -> np.ndarray:
    """Random features of one clip, float16 [n_frames, 80]."""
    return np.random.default_rng(number).uniform(-100, 0, (n_frames, N_BINS)).astype(np.float16)


def source(number: int) -> Source:
    return Source(utterance_id(number), "LA_0000", None, 1, f"{number}.flac", "0" * 64, None)


def write_store(folder: Path, n_records: int, n_frames: int) -> None:
    """Writes a store of random records and, beside it, one .npy file per clip."""
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
    manifest = pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)
    params = load_params(REPOSITORY / "params.yaml")
    shards = assign_shards(manifest, params.store, FEATURES, AUGMENT.copies)
    storage = open_storage(folder / "store")
    (folder / "npy").mkdir()
    for shard in shards:
        examples = []
        for row in shard.sources:
            features = values(int(row.utterance_id[5:]), n_frames)
            np.save(folder / "npy" / f"{row.utterance_id}.npy", features)
            examples.append(StoredExample(row, 0, features, {}, n_frames / 100, n_frames / 100, MEASURES, "flac"))
        write_shard(storage, shard, CONFIG, examples)
    close_store(storage, shards, CONFIG)


def reading(folder: Path, n_records: int, gets: int, passes: int) -> Row:
    """The row of random access, `gets` clips a pass in blocks of 50.

    Raises:
        AssertionError: The two readers give different values.
    """
    store = FeatureStore.open(folder / "store")

    def npy(name: str) -> np.ndarray:
        return np.load(folder / "npy" / f"{name}.npy")

    for number in range(n_records):
        np.testing.assert_array_equal(store.get(utterance_id(number)).features, npy(utterance_id(number)))
    names = [utterance_id(number) for number in np.random.default_rng(7).integers(0, n_records, gets)]
    blocks = [names[start : start + 50] for start in range(0, gets, 50)]
    pairs = in_turn(
        lambda block: [store.get(name) for name in block], lambda block: [npy(name) for name in block], blocks, passes
    )
    return pairs.row("read at random by id", "np.load, a file per clip", None, gets, "clip")


def memory(folder: Path, n_records: int, n_frames: int) -> Row:
    """Memory of a process that reads every record, without files of the page cache."""
    command = [sys.executable, "-m", "benchmarks.bench_store", "--read", str(folder / "store"), str(n_records)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    return absolute(
        f"memory of a reader, {n_records:,} clips of {n_frames} frames", json.loads(done.stdout), "MiB", None
    )


def own_memory_mib() -> float:
    """Anonymous resident pages of this process in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no RssAnon: this benchmark needs Linux")


def read_all(url: str, n_records: int) -> list[float]:
    """Reads every record by id and gives the memory after it."""
    store = FeatureStore.open(url)
    for number in range(n_records):
        store.get(utterance_id(number))
    return [own_memory_mib()]


def writing(folder: Path, n_examples: int, passes: int) -> list[Row]:
    """The rows of writing the same examples."""
    sources = [source(number) for number in range(n_examples)]
    features = [values(number, FRAMES) for number in range(n_examples)]
    examples = [
        StoredExample(row, 0, array, {}, 3.1, 3.1, MEASURES, "flac")
        for row, array in zip(sources, features, strict=True)
    ]
    shard = Shard(shard_name("train", 0, 1), "train", tuple(sources))
    storage = open_storage(folder / "written")

    def own(_: object) -> None:
        write_shard(storage, shard, CONFIG, examples)

    beam = peers.BeamWriter(examples, folder / "beam")
    name = f"write {n_examples:,} examples as a shard"
    rows = [in_turn(own, beam, [None], passes).row(name, "Beam WriteToTFRecord", None, n_examples, "example")]
    try:
        write = peers.lhotse_writer(folder / "lhotse")
    except peers.PeerMissingError as error:
        return [*rows, skipped(name, "lhotse NumpyFilesWriter", str(error))]

    def lhotse(_: object) -> None:
        for row, array in zip(sources, features, strict=True):
            write(row.utterance_id, array)

    rows.append(in_turn(own, lhotse, [None], passes).row(name, "lhotse NumpyFilesWriter", None, n_examples, "example"))
    return rows


def extracting(folder: Path, clips: Clips, passes: int) -> Row:
    """The row of log-Mel and writing together, waveforms to files."""
    name, peer = "log-Mel and write a shard", "lhotse Fbank and writer"
    try:
        extract, write = peers.lhotse_log_mel(FEATURES), peers.lhotse_writer(folder / "fbank")
    except peers.PeerMissingError as error:
        return skipped(name, peer, str(error))
    sources = clips.sources()
    shard = Shard(shard_name("train", 0, 1), "train", sources)
    storage, front_end = open_storage(folder / "extracted"), make_front_end(FEATURES)

    def own(_: object) -> None:
        examples = [
            StoredExample(
                row,
                0,
                front_end(clip).astype(np.float16),
                {},
                len(clip) / SAMPLE_RATE,
                len(clip) / SAMPLE_RATE,
                MEASURES,
                "flac",
            )
            for row, clip in zip(sources, clips.waveforms, strict=True)
        ]
        write_shard(storage, shard, CONFIG, examples)

    def lhotse(_: object) -> None:
        for row, clip in zip(sources, clips.waveforms, strict=True):
            write(row.utterance_id, extract(clip).astype(np.float16))

    return in_turn(own, lhotse, [None], passes).row(name, peer, None, len(sources), "clip")


def rows(arguments: argparse.Namespace) -> list[Row]:
    """All rows."""
    with tempfile.TemporaryDirectory(prefix="bonafide-bench-", dir=arguments.folder) as name:
        folder = Path(name)
        found = writing(folder, arguments.examples, arguments.passes)
        (folder / "clips").mkdir()
        found.append(extracting(folder, cut_clips(folder / "clips", arguments.clips), arguments.passes))
        for n_frames in (40, FRAMES):
            part = folder / str(n_frames)
            part.mkdir()
            write_store(part, arguments.records, n_frames)
            found.append(memory(part, arguments.records, n_frames))
        return [*found, reading(folder / str(FRAMES), arguments.records, arguments.gets, arguments.passes)]


def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--records", type=int, default=4_000, help="of the store to read (default: %(default)s)")
    options.add_argument("--gets", type=int, default=2_000, help="clips read a pass (default: %(default)s)")
    options.add_argument("--examples", type=int, default=1_000, help="of the shard to write (default: %(default)s)")
    options.add_argument("--clips", type=int, default=100, help="to extract and write (default: %(default)s)")
    options.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    options.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    arguments = options.parse_args(argv)
    if arguments.read:
        url, n_records = arguments.read
        print(json.dumps(read_all(url, int(n_records))))
        return
    report(__doc__, rows(arguments), arguments.json)


if __name__ == "__main__":
    main()
