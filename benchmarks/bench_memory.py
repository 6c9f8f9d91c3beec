"""Peak memory and CPU time of the commands for corpora of several sizes: whether they hold more than a few hundred bytes a clip.

    python benchmarks/bench_memory.py --clips 4000 12000 36000 --json memory.json --plot memory.png

The corpora are hard links to short FLACs, and stores of one-frame spectrograms, so the time is that of the commands' own
work beside the audio. Every command runs in a process of its own. `features` is what the command itself does: plan, write the
worklist, close the store; a worker holds one shard, whatever the corpus. `train` is all but the network: the index, the crops of
one pass over train, the windows and scores of dev. `evaluate` is all but the network: trials, score files, metrics, plots. Growth
per clip is the difference between the peaks of the largest and the smallest corpus.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
BYTES_PER_CLIP = 400.0
GROWTH = 0.05
SHARES = {"train": 0.2, "dev": 0.2, "eval": 0.6}
PROTOCOLS = {
    "train": "ASVspoof2019.LA.cm.train.trn.txt",
    "dev": "ASVspoof2019.LA.cm.dev.trl.txt",
    "eval": "ASVspoof2019.LA.cm.eval.trl.txt",
}
# Of the clips, and of the links to one of them.
SECONDS = 0.2
RATE = 16_000
LINKS = 20_000
ATTACKS = 6
BONA_FIDE_EVERY = 10


def write_corpus(root: Path, n_clips: int) -> None:
    """A corpus in the ASVspoof 2019 LA layout: a tenth bona fide, 20 speakers a split, hard links to clips of noise.

    No clip is in two splits or of two attacks. A file system allows some ten thousand links to a file.
    """
    import numpy as np
    import soundfile

    protocols = root / "ASVspoof2019_LA_cm_protocols"
    protocols.mkdir(parents=True)
    draw = np.random.default_rng(2019)
    for place, (split, share) in enumerate(SHARES.items()):
        folder = root / f"ASVspoof2019_LA_{split}" / "flac"
        folder.mkdir(parents=True)
        originals: dict[tuple[str, int], Path] = {}
        with (protocols / PROTOCOLS[split]).open("w") as lines:
            for number in range(round(n_clips * share)):
                clip = folder / f"LA_{split[0].upper()}_{number:08d}.flac"
                attack = "-" if number % BONA_FIDE_EVERY == 0 else f"A{1 + number % ATTACKS:02d}"
                key = (attack, number // (LINKS * BONA_FIDE_EVERY))
                if key in originals:
                    os.link(originals[key], clip)
                else:
                    soundfile.write(clip, draw.uniform(-0.1, 0.1, round(SECONDS * RATE)), RATE, "PCM_16")
                    originals[key] = clip
                label = "bonafide" if attack == "-" else "spoof"
                lines.write(f"LA_{20 * place + number // 10 % 20:04d} {clip.stem} - {attack} {label}\n")


def write_store(folder: Path) -> None:
    """A store of the manifest, with spectrograms of one frame and drawn measures."""
    import numpy as np

    from pipeline.audio.measures import Measures
    from pipeline.corpus.manifest import read_manifest
    from pipeline.job.plan import plan_run
    from pipeline.store.writer import StoredExample, write_shard

    plan = plan_run(read_manifest(folder / "manifest.parquet"), str(folder / "store"), _params())
    draw = np.random.default_rng(7)
    frame = np.zeros((1, plan.config.n_bins), np.float16)
    for shard in plan.resume.pending:
        examples = (
            StoredExample(source, 0, frame, {}, 0.2, 0.2, Measures(*draw.uniform(0.01, 0.1, 5).tolist()), "flac")
            for source in shard.sources
        )
        write_shard(plan.storage, shard, plan.config, examples)


def manifest(folder: Path) -> None:
    from pipeline.cli.manifest import manifest as command

    command(REPOSITORY / "params.yaml", str(folder / "LA"), output=folder / "manifest.parquet")


def features(folder: Path) -> None:
    import apache_beam  # noqa: F401 - the command has it in memory while shards are due

    from pipeline.corpus.manifest import read_manifest
    from pipeline.job.plan import plan_run
    from pipeline.job.worklist import worklist
    from pipeline.store.close import close_store
    from pipeline.store.reader import read_rejects
    from pipeline.store.sharding import PLANNED_COLUMNS

    plan = plan_run(read_manifest(folder / "manifest.parquet", PLANNED_COLUMNS), str(folder / "store"), _params())
    with worklist(plan.address, plan.shards, "bench"):
        pass
    read_rejects(plan.storage, [shard.name for shard in plan.shards])
    close_store(plan.storage, plan.shards, plan.config)


def validate(folder: Path) -> None:
    from model.cli.validate import validate as command

    command(str(folder / "store"), folder / "data", False)


def train(folder: Path) -> None:
    import numpy as np

    from model.dataset import CachedWindows
    from model.params import load_params
    from model.sampler import CropSampler, count_classes
    from model.scoring.clip_scores import ClipScores
    from model.scoring.scorer import labelled_scores, split_trials
    from pipeline.store import FeatureStore

    store = FeatureStore.open(folder / "store")
    # As short as the clips: the windows of dev are kept in memory as long as they fit in 2 GiB.
    params = load_params(REPOSITORY / "params.yaml").train.model_copy(update={"crop_s": 0.01})
    for split in ("train", "dev"):
        count_classes(store, split)
    sampler = CropSampler.of(store, params)
    for step in range(len(store.select(split="train")) // params.batch_size):
        sampler.batch(step)
    draw = np.random.default_rng(7)
    scores = ClipScores(
        (name.decode(), float(draw.normal()))
        for names, _ in CachedWindows(store, "dev", sampler.n_frames, params.batch_size)
        for name in names.numpy().tolist()
    )
    labelled_scores(split_trials(store, "dev"), scores, "dev")


def evaluate(folder: Path) -> None:
    import numpy as np

    from model.artifacts import EVALUATED_SPLITS, plot_file, scores_file
    from model.evaluation.curves import plots
    from model.evaluation.evaluation_files import write_breakdowns, write_scores
    from model.evaluation.shortcut_audit import correlations
    from model.metrics import summarise
    from model.params import load_params
    from model.scoring.clip_scores import ClipScores
    from model.scoring.scorer import SCORED_COLUMNS, labelled_scores, split_trials
    from pipeline.files import write_json
    from pipeline.store import FeatureStore

    store = FeatureStore.open(folder / "store", SCORED_COLUMNS)
    params = load_params(REPOSITORY / "params.yaml").evaluate.model_copy(update={"intervals": 20})
    draw = np.random.default_rng(7)
    for split in EVALUATED_SPLITS:
        trials = split_trials(store, split)
        scores = ClipScores((row["utterance_id"], float(draw.normal(2.0 * (row["label"] or 0)))) for row in trials)
        write_scores(folder / "evaluation" / scores_file(split), trials, scores)
        table = labelled_scores(trials, scores, split)
        figures = summarise(table, threshold=1.0, asv=None, n_resamples=20, cluster=None, seed=0)
        correlations(table, trials)
        write_breakdowns(folder / "evaluation", split, table, trials, 1.0, params)
        for name, records in plots(table, 1.0, 0.5, figures["per_attack"]).items():
            write_json(folder / "evaluation" / plot_file(split, name), records)


COMMANDS: dict[str, Callable[[Path], None]] = {
    "manifest": manifest,
    "features": features,
    "validate": validate,
    "train": train,
    "evaluate": evaluate,
}


def _params() -> Any:
    from pipeline.params import load_params

    params = load_params(REPOSITORY / "params.yaml")
    no_twins = params.augment.copy_synthesis.model_copy(update={"copies": 0})
    augment = params.augment.model_copy(update={"copies": 0, "copy_synthesis": no_twins})
    # About as many clips in a shard as in the default size.
    store = params.store.model_copy(update={"target_shard_mib": 1.0})
    return params.model_copy(update={"augment": augment, "store": store})


def measure(command: str, folder: Path) -> None:
    """Runs a command in this process and prints its peak resident memory in bytes and its CPU seconds as JSON."""
    import bonafide  # noqa: F401 - first, as in the command: it chooses Arrow's allocator

    began = time.process_time()
    COMMANDS[command](folder)
    seconds = time.process_time() - began
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024
    print(json.dumps({"bytes": peak, "seconds": seconds}))


def in_own_process(*arguments: object) -> str:
    # One arena: otherwise the number of threads that happened to work decides how much freed memory stays.
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout.strip().rpartition("\n")[2]


def rows_of(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Two rows per command, growth in bytes per clip and of the whole process, in the format of the other benchmarks."""
    rows = []
    for command in COMMANDS:
        small, *_, large = sorted((p for p in points if p["command"] == command), key=lambda point: point["clips"])
        grown = large["bytes"] - small["bytes"]
        note = f"{small['clips']:,} to {large['clips']:,} clips"
        figures = (
            ("memory per clip", grown / (large["clips"] - small["clips"]), BYTES_PER_CLIP, "bytes"),
            ("growth of the process", grown / small["bytes"], GROWTH, ""),
        )
        for what, value, target, unit in figures:
            rows.append(
                {
                    "name": f"{command}, {what}",
                    "peer": "limit",
                    "ratio": value,
                    "spread": None,
                    "target": target,
                    "met": value <= target,
                    "unit": unit,
                    "note": note,
                }
            )
    return rows


def draw(points: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    memory, seconds = figure.subplots(1, 2)
    for command in COMMANDS:
        own = [point for point in points if point["command"] == command]
        clips = [point["clips"] for point in own]
        memory.plot(clips, [point["bytes"] / 2**20 for point in own], marker="o", label=command)
        seconds.plot(clips, [1e3 * point["seconds"] / point["clips"] for point in own], marker="o", label=command)
    memory.set(xlabel="clips", ylabel="peak memory, MiB", ylim=(0, None))
    seconds.set(xlabel="clips", ylabel="CPU time per clip, ms", ylim=(0, None))
    memory.legend()
    figure.savefig(path, dpi=90, metadata={"Software": None})


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[4_000, 12_000, 36_000])
    parser.add_argument("--json", type=Path, help="Write the rows here.")
    parser.add_argument("--plot", type=Path, help="Draw memory and time over the number of clips here, as PNG.")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.measure:
        measure(arguments.measure[0], Path(arguments.measure[1]))
        return
    if arguments.prepare:
        write_store(Path(arguments.prepare))
        return
    points = []
    print(f"{'command':<10}{'clips':>10}{'peak':>12}{'CPU':>10}{'per clip':>12}")
    for n_clips in sorted(arguments.clips):
        with tempfile.TemporaryDirectory(prefix="bonafide-memory-") as name:
            write_corpus(Path(name) / "LA", n_clips)
            for command in COMMANDS:
                if command == "features":
                    in_own_process("--prepare", name)
                point = {"command": command, "clips": n_clips, **json.loads(in_own_process("--measure", command, name))}
                points.append(point)
                print(
                    f"{command:<10}{n_clips:>10,}{point['bytes'] / 2**20:>8.1f} MiB{point['seconds']:>8.2f} s"
                    f"{1e3 * point['seconds'] / n_clips:>9.3f} ms"
                )
    rows = rows_of(points) if len(arguments.clips) > 1 else []
    for row in rows:
        value = f"{row['ratio']:.0f} bytes" if row["unit"] else f"{row['ratio']:.1%}"
        target = f"{row['target']:.0f} bytes" if row["unit"] else f"{row['target']:.0%}"
        print(f"{row['name']:<36}{value:>12}   target {target}: {'met' if row['met'] else 'missed'}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    if arguments.plot:
        draw(points, arguments.plot)


if __name__ == "__main__":
    main()
