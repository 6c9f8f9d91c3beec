"""Scoring of files: its start, its speed, the memory of an hour, and whether it knows when it does not know.

Start is the CPU time of `bonafide score` for one short file. Speed is files a second of wall time on all cores, after the
start, for the clips of the sample corpus. Memory is what the peak of the process grows by while an hour is scored. The held-out
clips are those of `benchmarks.unfamiliar`; a verdict is confidently wrong if it is not "uncertain" and not that of the clip,
and any certain verdict about what is no speech is. Rows without a model are skipped.

    python -m benchmarks.bench_scoring --model data/model
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.clips import SAMPLE_CORPUS
from benchmarks.harness import REPOSITORY, Row, absolute, child_cpu_s, parser, report, skipped
from benchmarks.unfamiliar import RATE, Unfamiliar, clips_of, unfamiliar_clips
from model.detector import Detector, Samples, Source
from model.errors import ModelError

START_LIMIT_S = 4.0
FILES_PER_S = 300.0
HOUR_LIMIT_MIB = 400.0
WRONG_RATIO = 3.0
UNCERTAIN_LIMIT = 5.0

PEAK = """
import json, resource, sys
from pathlib import Path
from model.detector import Detector
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
detector = Detector.load(sys.argv[1])
detector.score(sys.argv[2])
before = peak()
result = detector.score(sys.argv[3])
print(json.dumps([peak() - before, result.duration_s, len(result.windows)]))
"""


def conditions(detector: Detector, unchecked: Detector, clips: Sequence[Unfamiliar]) -> dict[str, list[Counter[str]]]:
    """By condition, the clips that are confidently wrong, right and uncertain, without the checks and with them."""
    found: dict[str, list[Counter[str]]] = {}
    for place, scorer in enumerate((unchecked, detector)):
        sources = (Source(clip.condition, Samples(clip.waveform, RATE)) for clip in clips)
        for clip, record in zip(clips, scorer.score_files(sources), strict=True):
            outcome = "wrong"
            if record.verdict in (None, "uncertain"):
                outcome = "uncertain"
            elif record.verdict == clip.label:
                outcome = "right"
            found.setdefault(clip.condition, [Counter(), Counter()])[place][outcome] += 1
    return found


def uncertain_share(detector: Detector, paths: Sequence[Path]) -> float:
    """Share of files with the verdict "uncertain", in per cent."""
    verdicts = [record.verdict for record in detector.score_files(paths)]
    return 100.0 * verdicts.count("uncertain") / len(verdicts)


def doubt_rows(detector: Detector, unchecked: Detector, corpus: Path, count: int) -> list[Row]:
    """What the checks change on unfamiliar clips and on dev."""
    found = conditions(detector, unchecked, list(unfamiliar_clips(corpus, count)))
    rows = []
    total = [sum((by_place[place] for by_place in found.values()), Counter()) for place in (0, 1)]
    for name, (before, after) in [*found.items(), ("all held-out clips", total)]:
        # No clip counts as half of one, so that the ratio stays finite.
        ratio = max(before["wrong"], 0.5) / max(after["wrong"], 0.5)
        note = (
            f"{before['wrong']} to {after['wrong']} of {before.total()} confidently wrong; right {before['right']} to "
            f"{after['right']}, uncertain {before['uncertain']} to {after['uncertain']}"
        )
        target = WRONG_RATIO if name.startswith("all") else None
        rows.append(Row(f"confidently wrong, {name}", "without checks", ratio, (ratio, ratio), target, note=note))
    dev = [path for _, path in clips_of(corpus, "dev")]
    without, with_checks = uncertain_share(unchecked, dev), uncertain_share(detector, dev)
    note = f"{without:.1f} % without checks, {with_checks:.1f} % with them"
    rows.append(absolute("more uncertain verdicts on dev", [with_checks - without], "points", UNCERTAIN_LIMIT, note))
    return rows


def speed_row(detector: Detector, corpus: Path, passes: int) -> Row:
    """Files a second."""
    paths = [path for split in ("train", "dev", "eval") for _, path in clips_of(corpus, split)]
    list(detector.score_files(paths[:40]))
    rates, cpu_s = [], 0.0
    for _ in range(passes):
        began, spent = time.perf_counter(), time.process_time()
        count = sum(1 for _ in detector.score_files(paths))
        rates.append(count / (time.perf_counter() - began))
        cpu_s += time.process_time() - spent
    note = f"{len(paths)} files of 1.0 to 3.4 s, {1e3 * cpu_s / passes / len(paths):.2f} ms of CPU each"
    return absolute("score, short files", rates, "files/s", FILES_PER_S, note)


def start_row(model: Path, clip: Path, passes: int) -> Row:
    """CPU seconds of the command for one file."""
    command = [sys.executable, "-m", "bonafide", "score", str(clip), "--model", str(model), "--jsonl", "/dev/null"]
    # The first run compiles.
    times = [child_cpu_s(command) for _ in range(passes + 1)][1:]
    return absolute("score, start and one file", times, "CPU s", START_LIMIT_S)


def hour_row(model: Path, corpus: Path, folder: Path, seconds: float) -> Row:
    """MiB above idle for a long recording."""
    clips = [soundfile.read(path, dtype="float32")[0] for _, path in clips_of(corpus, "eval")]
    minute = np.concatenate(clips)
    path = folder / "hour.flac"
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", format="FLAC") as file:
        for _ in range(round(seconds * RATE) // len(minute) + 1):
            file.write(minute)
    short = folder / "short.flac"
    soundfile.write(short, minute[: 2 * RATE], RATE, "PCM_16")
    command = [sys.executable, "-c", PEAK, str(model), str(short), str(path)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    taken = time.perf_counter() - began
    grown, duration_s, n_windows = json.loads(done.stdout.strip().splitlines()[-1])
    note = f"{duration_s / 60:.0f} min in {taken:.0f} s, {n_windows:,} windows"
    return absolute("score, an hour, above idle", [grown], "MiB", HOUR_LIMIT_MIB, note)


def rows(arguments: argparse.Namespace) -> list[Row]:
    """All rows."""
    try:
        detector, unchecked = (Detector.load(arguments.model, checks=checks) for checks in (True, False))
    except ModelError as error:
        return [skipped("score", "limit", str(error))]
    found = doubt_rows(detector, unchecked, SAMPLE_CORPUS, arguments.held_out)
    found.append(speed_row(detector, SAMPLE_CORPUS, arguments.passes))
    found.append(start_row(arguments.model, clips_of(SAMPLE_CORPUS, "eval")[0][1], arguments.passes))
    with tempfile.TemporaryDirectory(prefix="bonafide-bench-") as name:
        found.append(hour_row(arguments.model, SAMPLE_CORPUS, Path(name), arguments.seconds))
    return found


def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.set_defaults(passes=3)
    options.add_argument("--model", type=Path, default=REPOSITORY / "data" / "model", help="default: %(default)s")
    options.add_argument("--held-out", type=int, default=300, help="held-out clips (default: %(default)s)")
    options.add_argument("--seconds", type=float, default=3600.0, help="of the long recording (default: %(default)s)")
    arguments = options.parse_args(argv)
    report(__doc__, rows(arguments), arguments.json)


if __name__ == "__main__":
    main()
