"""The command `bonafide plan`: what a features job will take, for those who size a cluster.

The plan goes to standard output, as a table or with `--json`; progress goes to standard error.
"""

import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import JsonOption, ParamsOption

if TYPE_CHECKING:
    from pipeline.job.capacity import Estimate, Rates, Workload
    from pipeline.params import Params

_EFFICIENCY = 0.95

ClipsOption = Annotated[int, typer.Option("--clips", min=1, help="Utterances of the corpus, such as 10_000_000.")]
MeanSecondsOption = Annotated[float, typer.Option("--mean-seconds", help="Their mean duration in seconds.")]
CopiesOption = Annotated[
    int | None,
    typer.Option("--copies", min=0, max=100, help="Augmented copies per train clip; default: augment.copies."),
]
TrainShareOption = Annotated[
    float,
    typer.Option(
        "--train-share", help="Share of the clips in train, which alone get copies; 0.21 in ASVspoof 2019 LA."
    ),
]
BonaFideShareOption = Annotated[
    float,
    typer.Option(
        "--bona-fide-share",
        help="Share of bona fide clips in train, which alone get twins; 0.10 in ASVspoof 2019 LA.",
    ),
]
CoresOption = Annotated[
    int | None,
    typer.Option("--cores", min=1, max=1_000_000, help="Cores to work on; default: those of this machine."),
]
EfficiencyOption = Annotated[
    float,
    typer.Option(
        "--efficiency",
        help="Share of a core's speed that is left when all cores of a machine work. The default was measured: two "
        "processes on the two cores of a virtual AMD EPYC kept 0.96 each. Hyper-threads keep far less.",
    ),
]
PriceOption = Annotated[
    float | None, typer.Option("--price-per-core-hour", help="Adds the cost, in the unit of this price.")
]
MeasureSecondsOption = Annotated[float, typer.Option("--measure-seconds", help="How long to measure this machine.")]


def plan(
    clips: ClipsOption,
    mean_seconds: MeanSecondsOption,
    copies: CopiesOption = None,
    train_share: TrainShareOption = 1.0,
    bona_fide_share: BonaFideShareOption = 0.1,
    cores: CoresOption = None,
    efficiency: EfficiencyOption = _EFFICIENCY,
    price_per_core_hour: PriceOption = None,
    measure_seconds: MeasureSecondsOption = 10.0,
    params: ParamsOption = Path("params.yaml"),
    as_json: JsonOption = False,
) -> None:
    """Size a cluster: shards, bytes, CPU hours, wall time and memory of a features job, from rates of this machine.

    The rates are measured with the job's own code on synthetic clips. Needs neither a corpus nor a cluster.
    """
    from pipeline.runners.beam_log import hush_beam

    hush_beam()
    from pipeline.cli.console import console, print_json
    from pipeline.job.capacity import Workload, estimate
    from pipeline.job.speed import measure_rates
    from pipeline.params import load_params

    loaded = load_params(params)
    _check_mean_seconds(mean_seconds, loaded.features.min_duration_s)
    _require(0 <= train_share <= 1, "--train-share", train_share, "a share from 0 to 1")
    _require(0 <= bona_fide_share <= 1, "--bona-fide-share", bona_fide_share, "a share from 0 to 1")
    _require(0 < efficiency <= 1, "--efficiency", efficiency, "a share above 0, at most 1")
    _require(0 <= measure_seconds <= 3600, "--measure-seconds", measure_seconds, "0 to 3600 seconds")
    price = price_per_core_hour
    _require(price is None or 0 <= price < math.inf, "--price-per-core-hour", price or 0.0, "0 or more")
    if copies is not None:
        loaded = loaded.model_copy(update={"augment": loaded.augment.model_copy(update={"copies": copies})})
    workload = Workload.of(clips, mean_seconds, train_share, bona_fide_share)
    used_cores = cores or len(os.sched_getaffinity(0))
    with console.status(f"Measuring this machine for about {measure_seconds:g} s"):
        rates = measure_rates(loaded, mean_seconds, measure_seconds)
    result = estimate(workload, rates, loaded, used_cores, efficiency)
    sizing = _Sizing(clips, train_share, workload, loaded, used_cores, efficiency, price, rates, result)
    if as_json:
        print_json(sizing.to_dict())
    else:
        _print_sizing(sizing)
    _warn_of_idle_cores(sizing)


@dataclass(frozen=True)
class _Sizing:
    """A question to `bonafide plan`, the measured rates, and the answer.

    Attributes:
        price: Per core and hour, in any unit; None if not given.
    """

    clips: int
    train_share: float
    workload: "Workload"
    params: "Params"
    cores: int
    efficiency: float
    price: float | None
    rates: "Rates"
    estimate: "Estimate"

    @property
    def cost(self) -> float | None:
        """In the unit of the price. Cores are paid for while they are reserved, also when idle."""
        return None if self.price is None else self.cores * self.estimate.wall_s / 3600 * self.price

    def to_dict(self) -> dict[str, Any]:
        """Content of the JSON output."""
        from pipeline.machine import processor

        return {
            "workload": {
                "clips": self.clips,
                "mean_s": self.workload.mean_s,
                "train_share": self.train_share,
                "copies": self.params.augment.copies,
                "bona_fide_share": self.workload.bona_fide_share,
                "twins": self.params.augment.copy_synthesis.copies,
            },
            "cores": self.cores,
            "efficiency": self.efficiency,
            "processor": processor(),
            "rates": asdict(self.rates),
            "estimate": {**asdict(self.estimate), "cpu_s": self.estimate.cpu_s, "wall_s": self.estimate.wall_s},
            "cost": self.cost,
        }


def _print_sizing(sizing: _Sizing) -> None:
    from rich.table import Table

    from pipeline.cli.console import results, table

    output = results()
    copies = sizing.params.augment.copies
    number = "1 copy" if copies == 1 else f"{copies} copies"
    title = f"{sizing.clips:,} clips of {sizing.workload.mean_s:g} s, {number}, {sizing.cores:,} cores"
    output.print(table(title, ("", "expected"), _rows(sizing)))
    output.print("Assumptions")
    listed = Table.grid(padding=(0, 1))
    for assumption in _assumptions(sizing):
        listed.add_row("-", assumption)
    output.print(listed)


def _rows(sizing: _Sizing) -> list[tuple[str, str]]:
    from pipeline.cli.console import duration, size

    result = sizing.estimate
    workers_s = result.workers_wall_s
    empty = result.shards - result.busy_shards
    rows = [
        ("audio", f"{sizing.workload.audio_s / 3600:,.1f} h"),
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
        ("memory of all workers", size(result.worker_bytes * min(sizing.cores, result.busy_shards))),
        ("memory of the command", size(result.command_bytes)),
    ]
    if sizing.cost is not None:
        rows.append(("cost, all cores reserved for the wall time", f"{sizing.cost:,.2f}"))
    return rows


def _assumptions(sizing: _Sizing) -> list[str]:
    from pipeline.cli.console import size
    from pipeline.job.capacity import FLAC_RATIO
    from pipeline.machine import processor

    rates = sizing.rates
    n_twins = sizing.params.augment.copy_synthesis.copies
    twins = f"{1e3 * rates.twin_s:.2f} ms per second of a twin, " if n_twins else ""
    others = "" if sizing.train_share == 1 else "; the others are in one split and get no copies"
    return [
        f"rates of this machine ({processor()}), CPU time of one core: {1e3 * rates.original_s:.2f} ms per second of audio, "
        f"{1e3 * rates.copy_s:.2f} ms per second of a copy, {twins}{1e3 * rates.shard_s:.1f} ms per shard, "
        f"{rates.start_s:.1f} s to start a process; in the command {1e6 * rates.command_clip_s:.0f} µs per clip and "
        f"{1e3 * rates.command_shard_s:.1f} ms per shard",
        f"{sizing.train_share:.0%} of the clips are in train{others}",
        f"{sizing.workload.bona_fide_share:.0%} of the clips of train are bona fide and get {n_twins} twins of each copy",
        f"every clip lasts {sizing.workload.mean_s:g} s, and the shards of a split are equal",
        f"a core keeps {sizing.efficiency:.0%} of its speed when all work",
        "storage keeps up with the workers",
        f"audio is 16-bit FLAC of one channel at {sizing.params.features.sample_rate} Hz, compressed to {FLAC_RATIO:.0%}",
        f"a worker needs {size(rates.worker_bytes)} beside its shard; the runner's own memory is not counted",
        "not counted: the start of the runner, about 3 s on one machine, 20 s on Flink",
    ]


def _warn_of_idle_cores(sizing: _Sizing) -> None:
    from pipeline.cli.console import console

    busy_shards = sizing.estimate.busy_shards
    if busy_shards >= 2 * sizing.cores:
        return
    remedy = "lower store.target_shard_mib" if sizing.params.store.shards == "auto" else "raise store.shards"
    # Every busy shard needs a clip.
    remedies = f"{remedy} or use fewer cores" if sizing.clips >= 2 * sizing.cores else "use fewer cores"
    console.print(
        f"{busy_shards:,} shards for {sizing.cores:,} cores: the last wave leaves cores idle; {remedies}",
        style="yellow",
    )


def _check_mean_seconds(value: float, shortest: float) -> None:
    _require(0 < value < math.inf, "--mean-seconds", value, "a number of seconds above 0")
    _require(value >= shortest, "--mean-seconds", value, f"at least features.min_duration_s, {shortest:g}")


def _require(holds: bool, option: str, value: float, wanted: str) -> None:
    from pipeline.errors import ParamsError

    if not holds:
        raise ParamsError(f"{option} {value:g}: expected {wanted}")
