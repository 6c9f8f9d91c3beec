"""The whole features job, clip to committed shard, compared with a naive loop of librosa and `np.save` over the same clips.

Both sides do the same work in this process: the same clips, the same drawn effects, noises and voices. The job does it with
`Extractor` and `write_shard`, which also check the files, measure every example and write an index with checksums.

    python -m benchmarks.bench_job
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.clips import FEATURES, Clips, add_options, augmentation, benchmark_clips
from benchmarks.harness import Row, in_turn, parser, report
from benchmarks.peers import NaiveLoop
from pipeline.augmentation.augmenter import Augmenter
from pipeline.job.worker import Extractor
from pipeline.storage import open_storage
from pipeline.store.lineage import Config
from pipeline.store.schema import shard_name
from pipeline.store.sharding import Shard
from pipeline.store.writer import write_shard

TARGETS = {0: 1.6, 1: 3.0, 3: 4.0}
"""By augmented copies per clip."""

SHARD_CLIPS = 10


def row(clips: Clips, copies: int, passes: int, folder: Path) -> Row:
    """The row for a number of copies."""
    augment = augmentation(copies)
    sources = clips.sources()
    paths = {source.utterance_id: clips.folder / source.path for source in sources}
    starts = range(0, len(sources), SHARD_CLIPS)
    shards = [
        Shard(shard_name("train", number, len(starts)), "train", sources[start : start + SHARD_CLIPS])
        for number, start in enumerate(starts)
    ]
    augmenter = Augmenter(augment, FEATURES.sample_rate)
    recipes = {}
    for shard in shards:
        ids = [source.utterance_id for source in shard.sources]
        for name in ids:
            recipes[name] = [augmenter.draw(name, copy, ids).to_dict() for copy in range(1, copies + 1)]
    extract = Extractor(clips.folder, FEATURES, augment)
    storage = open_storage(folder / f"store-{copies}")
    config = Config.current(FEATURES, augment)
    naive = NaiveLoop(paths, FEATURES, folder)

    def own(shard: Shard) -> None:
        write_shard(storage, shard, config, extract(shard))

    def loop(shard: Shard) -> None:
        for source in shard.sources:
            naive(source.utterance_id, recipes[source.utterance_id])

    pairs = in_turn(own, loop, shards, passes)
    name = f"whole job, originals and {copies} copies" if copies else "whole job, originals"
    return pairs.row(name, "naive librosa loop", TARGETS.get(copies), len(sources), "clip")


def rows(clips: Clips, arguments: argparse.Namespace) -> list[Row]:
    """A row for each number of copies."""
    with tempfile.TemporaryDirectory(prefix="bonafide-bench-") as folder:
        return [row(clips, copies, arguments.passes, Path(folder)) for copies in arguments.copies]


def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__)
    add_options(options)
    options.add_argument("--copies", type=int, nargs="+", default=list(TARGETS), help="default: 0 1 3")
    arguments = options.parse_args(argv)
    with benchmark_clips(arguments) as clips:
        report(__doc__, rows(clips, arguments), arguments.json)


if __name__ == "__main__":
    main()
