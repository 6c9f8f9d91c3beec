"""Runs the benchmarks one after the other, prints their tables and writes reports/benchmarks.json.

    python -m benchmarks                        all of them, under 20 minutes on two cores
    python -m benchmarks front_end store        some of them; writes no file without --output
    python -m benchmarks --markdown             puts the figures of reports/benchmarks.json into docs/performance.md

Every benchmark runs in a process of its own. The exit code is 1 if one of them failed; a missed target is no failure.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import ONE_THREAD, REPOSITORY, installed
from benchmarks.tables import filled, machine_line, markdown

NAMES = ("audio", "front_end", "augmentation", "job", "profile", "store", "commands", "training", "scoring", "memory")
WITHOUT_PASSES = ("memory",)
RESULTS = REPOSITORY / "reports" / "benchmarks.json"
PAGE = REPOSITORY / "docs" / "performance.md"
PACKAGES = (
    *("apache-beam", "keras", "numba", "numpy", "pyarrow", "scipy", "soundfile", "soxr", "tensorflow"),
    *("kaldi-native-fbank", "lhotse", "librosa", "torch", "torchaudio"),
)


def available() -> list[str]:
    """Names of the benchmarks in this folder, in the order in which they run."""
    return [name for name in NAMES if (Path(__file__).parent / f"bench_{name}.py").exists()]


def run(name: str, options: Sequence[str] = ()) -> list[dict[str, Any]] | None:
    """Runs one benchmark and gives its rows; None if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        command = [sys.executable, "-m", f"benchmarks.bench_{name}", "--json", str(rows), *options]
        done = subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **ONE_THREAD}, check=False)
        return json.loads(rows.read_text(encoding="utf-8")) if done.returncode == 0 else None


def machine(seconds: float) -> dict[str, Any]:
    """What the figures were measured on."""
    from pipeline.machine import processor

    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "minutes": round(seconds / 60.0, 1),
        "versions": installed(*PACKAGES),
    }


def write_page() -> None:
    """Puts the figures of the last run into docs/performance.md."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    parts = {"machine": machine_line(results["machine"])}
    for name in NAMES:
        rows = [row for row in results["rows"] if row["benchmark"] == name]
        if rows:
            parts[name] = markdown(rows)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), parts), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Runs what the command line asks for and gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(available())}; default: all")
    parser.add_argument("--output", type=Path, help=f"default: {RESULTS.relative_to(REPOSITORY)} if all are run")
    parser.add_argument("--passes", help="passes of each benchmark; fewer are quicker, default: that of the benchmark")
    parser.add_argument("--markdown", action="store_true", help="run nothing; write the tables of the docs")
    arguments = parser.parse_args(argv)
    if arguments.markdown:
        write_page()
        return 0
    unknown = sorted(set(arguments.names) - set(available()))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(available())}")
    began = time.monotonic()
    rows, failed = [], []
    for name in arguments.names or available():
        has_passes = name not in WITHOUT_PASSES
        found = run(name, ["--passes", arguments.passes] if arguments.passes and has_passes else [])
        if found is None:
            failed.append(name)
        rows += [{"benchmark": name, **row} for row in found or []]
    output = arguments.output or (None if arguments.names else RESULTS)
    if failed:
        print(f"failed: {', '.join(failed)}; no file was written", file=sys.stderr)
        return 1
    if output is not None:
        content = {"machine": machine(time.monotonic() - began), "rows": rows}
        output.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
