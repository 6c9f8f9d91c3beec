"""Where the time of a shard goes: the share of each part of the job in its CPU time, for originals and with copies.

Each part is called on its own, with the same clips and recipes as the whole job; both take turns in one run.

    python -m benchmarks.bench_profile
"""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.clips import FEATURES, Clips, add_options, augmentation, benchmark_clips
from benchmarks.harness import Row, cpu_s, parser, report
from pipeline.audio.decode import decode
from pipeline.audio.measures import measure
from pipeline.augmentation.augmenter import Augmenter
from pipeline.frontends import make_front_end
from pipeline.job.worker import Extractor
from pipeline.storage import open_storage
from pipeline.store.lineage import Config
from pipeline.store.schema import shard_name
from pipeline.store.sharding import Shard
from pipeline.store.writer import write_shard

COPIES = (0, 3)
PASSES = 5


def apply_all(function: Callable[[Any], Any], items: Sequence[Any]) -> None:
    """Calls a function with each item."""
    for item in items:
        function(item)


def shares(clips: Clips, copies: int, passes: int, folder: Path) -> list[Row]:
    """A row per part, in per cent of the whole job's CPU time."""
    rate = FEATURES.sample_rate
    augment = augmentation(copies)
    shard = Shard(shard_name("train", 0, 1), "train", clips.sources())
    extract, augmenter = Extractor(clips.folder, FEATURES, augment), Augmenter(augment, rate)
    storage, config = open_storage(folder / f"store-{copies}"), Config.current(FEATURES, augment)
    originals = dict(zip((source.utterance_id for source in shard.sources), clips.waveforms, strict=True))
    numbers = [(name, copy) for name in originals for copy in range(1, copies + 1)]

    def augmented(number: tuple[str, int]) -> Any:
        return augmenter.apply(originals[number[0]], augmenter.draw(*number, originals), originals)

    waveforms = [*originals.values(), *map(augmented, numbers)]
    examples = list(extract(shard))
    front_end = make_front_end(FEATURES)
    parts: dict[str, Callable[[], Any]] = {
        "decode with checks": lambda: apply_all(lambda path: decode(path, FEATURES), clips.paths),
        "augment": lambda: apply_all(augmented, numbers),
        "log-Mel": lambda: apply_all(front_end, waveforms),
        "measures": lambda: apply_all(lambda waveform: measure(waveform, rate), waveforms),
        "records, index, checksums": lambda: write_shard(storage, shard, config, examples),
    }
    whole = [cpu_s(lambda: write_shard(storage, shard, config, extract(shard))) for _ in range(2)][1:]
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(passes):
        for name, part in parts.items():
            times[name].append(cpu_s(part))
        whole.append(cpu_s(lambda: write_shard(storage, shard, config, extract(shard))))
    total = statistics.median(whole)
    title = f"originals and {copies} copies" if copies else "originals"
    found = []
    for name, spent in times.items():
        if copies or name != "augment":
            percent = [100.0 * value / total for value in spent]
            note = (
                f"{1e3 * statistics.median(spent) / len(originals):.2f} of {1e3 * total / len(originals):.2f} ms a clip"
            )
            spread = (min(percent), max(percent))
            found.append(Row(f"{title}: {name}", "whole job", statistics.median(percent), spread, unit="%", note=note))
    return found


def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.set_defaults(passes=PASSES)
    add_options(options)
    arguments = options.parse_args(argv)
    with benchmark_clips(arguments) as clips, tempfile.TemporaryDirectory(prefix="bonafide-bench-") as folder:
        found = [row for copies in COPIES for row in shares(clips, copies, arguments.passes, Path(folder))]
    report(__doc__, found, arguments.json)


if __name__ == "__main__":
    main()
