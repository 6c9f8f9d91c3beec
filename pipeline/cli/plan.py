"""The command `bonafide plan`: what a features job will take, for those who size a cluster.

The plan goes to standard output, as a table or with `--json`; progress goes to standard error.
"""

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.runners.beam_log import hush_beam

if TYPE_CHECKING:
    from pipeline.job.capacity import Estimate, Rates, Workload
    from pipeline.params import Params

_EFFICIENCY = 0.95


def plan(
    clips: Annotated[int, typer.Option("--clips", min=1, help="Utterances of the corpus, such as 10_000_000.")],
    mean_seconds: Annotated[float, typer.Option("--mean-seconds", help="Their mean duration in seconds.")],
    copies: Annotated[
        int | None,
        typer.Option("--copies", min=0, max=100, help="Augmented copies per train clip; default: augment.copies."),
    ] = None,
    train_share: Annotated[
        float,
        typer.Option(
            "--train-share", help="Share of the clips in train, which alone get copies; 0.21 in ASVspoof 2019 LA."
        ),
    ] = 1.0,
    cores: Annotated[
        int | None,
        typer.Option("--cores", min=1, max=1_000_000, help="Cores to work on; default: those of this machine."),
    ] = None,
    efficiency: Annotated[
        float,
        typer.Option(
            "--efficiency",
            help="Share of a core's speed that is left when all cores of a machine work. The default was measured: two "
            "processes on the two cores of a virtual AMD EPYC kept 0.96 each. Hyper-threads keep far less.",
        ),
    ] = _EFFICIENCY,
    price_per_core_hour: Annotated[
        float | None, typer.Option("--price-per-core-hour", help="Adds the cost, in the unit of this price.")
    ] = None,
    calibration_seconds: Annotated[
        float, typer.Option("--calibration-seconds", help="How long to measure this machine.")
    ] = 10.0,
    params: Annotated[Path, typer.Option("--params", help="Parameter file.")] = Path("params.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Size a cluster: shards, bytes, CPU hours, wall time and memory of a features job, from rates of this machine.

    A short calibration runs the job's own code on generated clips. Needs neither a corpus nor a cluster.
    """
    from rich.table import Table

    hush_beam()
    from pipeline.cli.console import console, results, table
    from pipeline.job.capacity import Workload, estimate
    from pipeline.job.speed import calibrate, processor
    from pipeline.params import load_params

    loaded = load_params(params)
    shortest = loaded.features.min_duration_s
    _require(0 < mean_seconds < math.inf, "--mean-seconds", mean_seconds, "a number of seconds above 0")
    _require(
        mean_seconds >= shortest, "--mean-seconds", mean_seconds, f"at least features.min_duration_s, {shortest:g}"
    )
    _require(0 <= train_share <= 1, "--train-share", train_share, "a share from 0 to 1")
    _require(0 < efficiency <= 1, "--efficiency", efficiency, "a share above 0, at most 1")
    _require(0 <= calibration_seconds <= 3600, "--calibration-seconds", calibration_seconds, "0 to 3600 seconds")
    if price_per_core_hour is not None:
        _require(0 <= price_per_core_hour < math.inf, "--price-per-core-hour", price_per_core_hour, "0 or more")
    if copies is not None:
        loaded = loaded.model_copy(update={"augment": loaded.augment.model_copy(update={"copies": copies})})
    workload = Workload.of(clips, mean_seconds, train_share)
    used_cores = cores or len(os.sched_getaffinity(0))
    with console.status(f"Measuring this machine for about {calibration_seconds:g} s"):
        rates = calibrate(loaded, mean_seconds, calibration_seconds)
    result = estimate(workload, rates, loaded, used_cores, efficiency)
    # Cores are paid for while they are reserved, also when idle.
    cost = None if price_per_core_hour is None else used_cores * result.wall_s / 3600 * price_per_core_hour
    if as_json:
        content = {
            "workload": {
                "clips": clips,
                "mean_s": mean_seconds,
                "train_share": train_share,
                "copies": loaded.augment.copies,
            },
            "cores": used_cores,
            "efficiency": efficiency,
            "processor": processor(),
            "rates": asdict(rates),
            "estimate": {**asdict(result), "cpu_s": result.cpu_s, "wall_s": result.wall_s},
            "cost": cost,
        }
        typer.echo(json.dumps(content, indent=2, sort_keys=True))
    else:
        rows = _rows(workload, result, used_cores)
        if cost is not None:
            rows.append(("cost, all cores reserved for the wall time", f"{cost:,.2f}"))
        output = results()
        title = f"{clips:,} clips of {mean_seconds:g} s, {loaded.augment.copies} copies, {used_cores:,} cores"
        output.print(table(title, ("", "expected"), rows))
        output.print("Assumptions")
        listed = Table.grid(padding=(0, 1))
        for assumption in _assumptions(workload, rates, loaded, processor(), train_share, efficiency):
            listed.add_row("-", assumption)
        output.print(listed)
    if result.busy_shards < 2 * used_cores:
        remedy = "lower store.target_shard_mib" if loaded.store.shards == "auto" else "raise store.shards"
        # A shard needs a clip.
        remedies = f"{remedy} or use fewer cores" if clips >= 2 * used_cores else "use fewer cores"
        console.print(
            f"[yellow]{result.busy_shards:,} shards for {used_cores:,} cores: the last wave leaves cores idle; "
            f"{remedies}[/yellow]"
        )


def _rows(workload: "Workload", result: "Estimate", cores: int) -> list[tuple[str, str]]:
    from pipeline.cli.console import duration, size

    workers_s = result.workers_wall_s
    empty = result.shards - result.busy_shards
    return [
        ("audio", f"{workload.audio_s / 3600:,.1f} h"),
        ("audio to read", size(result.audio_bytes)),
        ("store written", size(result.store_bytes)),
        ("shards", f"{result.shards:,}" + (f", {empty:,} of them empty" if empty else "")),
        ("size of a shard", size(result.shard_bytes)),
        ("CPU hours", f"{result.cpu_s / 3600:,.1f} h"),
        ("wall time", duration(result.wall_s)),
        ("  workers", duration(workers_s)),
        ("  start, plan and close the store, one process", duration(result.command_s)),
        ("storage: read", f"{size(result.audio_bytes / workers_s)}/s"),
        ("storage: written", f"{size(result.store_bytes / workers_s)}/s"),
        ("memory per worker", size(result.worker_bytes)),
        ("memory of all workers", size(result.worker_bytes * min(cores, result.busy_shards))),
        ("memory of the command", size(result.command_bytes)),
    ]


def _assumptions(
    workload: "Workload", rates: "Rates", params: "Params", machine: str, train_share: float, efficiency: float
) -> list[str]:
    from pipeline.cli.console import size
    from pipeline.job.capacity import FLAC_RATIO

    others = "" if train_share == 1 else "; the others are of one split and get no copies"
    return [
        f"rates of this machine ({machine}), CPU time of one core: {1e3 * rates.original_s:.2f} ms per second of audio, "
        f"{1e3 * rates.copy_s:.2f} ms per second of a copy, {1e3 * rates.shard_s:.1f} ms per shard, "
        f"{rates.start_s:.1f} s to start a process; in the command {1e6 * rates.command_clip_s:.0f} µs per clip and "
        f"{1e3 * rates.command_shard_s:.1f} ms per shard",
        f"{train_share:.0%} of the clips are in train{others}",
        f"every clip lasts {workload.mean_s:g} s, and the shards of a split are equal",
        f"a core keeps {efficiency:.0%} of its speed when all work",
        "storage keeps up with the workers",
        f"audio is 16-bit FLAC of one channel at {params.features.sample_rate} Hz, packed to {FLAC_RATIO:.0%}",
        f"a worker needs {size(rates.worker_bytes)} beside its shard; the runner's own memory is not counted",
        "not counted: the start of the runner and the report after the job, about 5 s on one machine, 20 s on Flink",
    ]


def _require(holds: bool, option: str, value: float, wanted: str) -> None:
    from pipeline.errors import ParamsError

    if not holds:
        raise ParamsError(f"{option} {value:g}: expected {wanted}")
