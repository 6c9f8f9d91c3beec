"""The command `bonafide features`: the Beam job from manifest and audio to the feature store."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import MemberOption, ParamsOption, RootOption, RunnerOption, place_of

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from pipeline.job.counters import WorkerCounts
    from pipeline.job.plan import RunPlan
    from pipeline.job.progress import Progress
    from pipeline.job.run import FeaturesResult


def features(
    context: typer.Context,
    params: ParamsOption = Path("params.yaml"),
    member: MemberOption = None,
    manifest_path: Annotated[Path, typer.Option("--manifest", help="Made by `bonafide manifest`.")] = Path(
        "data/manifest.parquet"
    ),
    root: RootOption = None,
    output: Annotated[
        str, typer.Option("--output", help="Feature store: a folder, s3:// or gs:// address.")
    ] = "data/features",
    shared: Annotated[
        str | None, typer.Option("--shared", help="Local store whose shards are linked where they are the same.")
    ] = None,
    on: RunnerOption = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Workers; default: one per core here, one per free slot of a Flink cluster."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print shards, bytes and expected time; write nothing.")
    ] = False,
) -> None:
    """Run the Beam job: decode, augment and write spectrograms to the feature store.

    A stopped run continues with the next run. After a change, only the affected shards are redone.

    Beam options follow `--` or are set in BEAM_ARGS.
    """
    from pipeline.runners.beam_log import hush_beam

    hush_beam()
    from pipeline.cli.console import progress_bar
    from pipeline.corpus.audio_files import audio_root
    from pipeline.corpus.manifest import read_manifest
    from pipeline.corpus.places import corpus_path
    from pipeline.job.plan import plan_run
    from pipeline.job.run import run_features
    from pipeline.params import load_params
    from pipeline.runners.profiles import pipeline_options
    from pipeline.store.sharding import PLANNED_COLUMNS

    if shared is not None and not Path(shared).is_dir():
        raise typer.BadParameter(f"{shared}: no such folder", param_hint="--shared")
    output = place_of(context, "output", member)
    loaded = load_params(params, member)
    rows = read_manifest(manifest_path, PLANNED_COLUMNS)
    clips = str(audio_root(corpus_path(root or loaded.data.root)))
    if dry_run:
        _print_dry_run(plan_run(rows, output, loaded), clips, shared)
        return
    flags = pipeline_options(on, context.args, workers)
    with progress_bar("clips") as bar:
        display = _Display(bar)
        result = run_features(
            rows, clips, output, loaded, flags, display.show_plan, display.show_progress, display.show_runner, shared
        )
    _print_result(output, result)


class _Display:
    """Shows a run on the terminal: its plan, then a progress bar.

    Args:
        bar: Where the run is shown.
    """

    def __init__(self, bar: "Bar") -> None:
        self._bar = bar
        # Visible once the work begins, not above the error message of a check before it.
        self._task = bar.add_task("Features", total=None, note="", visible=False)

    def show_plan(self, plan: "RunPlan") -> None:
        """Prints the plan; shows the bar if shards are due."""
        _print_plan(plan)
        if plan.resume.pending:
            self._bar.update(self._task, total=plan.pending_clips, note="starting workers", visible=True)

    def show_runner(self, runner: str) -> None:
        """Prints which runner does the work."""
        self._bar.console.print(f"runner: {runner}", soft_wrap=True)

    def show_progress(self, progress: "Progress") -> None:
        """Moves the bar."""
        counts, speed = progress.counts, self._bar.tasks[self._task].speed
        note = f"{counts.shards}/{progress.total_shards} shards"
        if counts.rejects:
            note += f", {counts.rejects} rejects"
        if speed:
            each = f" by {len(counts.workers)} workers" if counts.workers else ""
            note += f", {speed:.0f}/s{each}"
        self._bar.update(self._task, completed=counts.clips, total=progress.total_clips, note=note)


def _print_plan(plan: "RunPlan") -> None:
    from pipeline.cli.console import console, size

    resume = plan.resume
    if resume.changes:
        console.print("the store was made with other parameters or versions and is made anew:")
        for change in resume.changes:
            console.print(f"  {change}")
    for change in resume.split_changes:
        console.print(f"  {change}: the split is written anew")
    console.print(
        f"{len(resume.kept)} shards kept, {len(resume.pending)} to do: {plan.pending_clips:,} clips, "
        f"about {size(plan.pending_bytes)}"
    )


def _print_dry_run(plan: "RunPlan", root: str, shared: str | None) -> None:
    from pipeline.cli.console import console, duration
    from pipeline.job.speed import expected_seconds

    _print_plan(plan)
    if plan.resume.pending:
        console.print(
            f"expected time on one core: {duration(expected_seconds(plan, root))}, measured on a few of the clips"
        )
        if shared is not None:
            console.print(f"shards that would be linked from {shared} are counted as to do")


def _print_result(output: str, result: "FeaturesResult") -> None:
    from pipeline.cli.console import console, duration, table
    from pipeline.cli.splits import splits_table
    from pipeline.job.limits import count_rejects

    console.print(splits_table(f"{output}: {result.info['config_fingerprint'][:12]}", result.info["splits"]))
    if result.rejects.num_rows:
        rows = [(reason, label, count) for (reason, label), count in sorted(count_rejects(result.rejects).items())]
        console.print(table("Rejects", ("reason", "class", "utterances"), rows))
    beyond = sum(counts["beyond_range"] for counts in result.info["splits"].values())
    if beyond:
        console.print(
            f"{beyond:,} FLAC clips have samples one step above full scale, which libFLAC and soundfile refuse; "
            "they were read (index: decoder)"
        )
    console.print(f"{result.kept} shards kept, {result.redone} redone in {duration(result.seconds)}")
    console.print(f"sha256 of the store: {result.info['sha256']}", soft_wrap=True)
    if result.counts.workers:
        console.print(_workers_line(result.counts.workers))


def _workers_line(workers: "Mapping[str, WorkerCounts]") -> str:
    """The workers' clips per second of work, without the time in which they started or waited."""
    rates = sorted(worker.clips / worker.busy_s for worker in workers.values() if worker.busy_s)
    if not rates:
        return f"{len(workers)} workers"
    spread = f"{rates[0]:.1f}" if len(rates) == 1 else f"{rates[0]:.1f} to {rates[-1]:.1f}, median {median(rates):.1f}"
    return f"{len(workers)} worker{'s' if len(workers) != 1 else ''}: {spread} clips/s each while at work"
