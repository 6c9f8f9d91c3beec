"""The command `bonafide features`: the Beam job from manifest and audio to the feature store."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import ParamsOption
from pipeline.runners.beam_log import hush_beam

if TYPE_CHECKING:
    from model.evaluation.data_validation import Shortcut
    from pipeline.job.run import Outcome, Plan
    from pipeline.params import Params
    from pipeline.runners.counters import WorkerCounts


def features(
    context: typer.Context,
    params: ParamsOption = Path("params.yaml"),
    manifest_path: Annotated[Path, typer.Option("--manifest", help="Made by `bonafide manifest`.")] = Path(
        "data/manifest.parquet"
    ),
    root: Annotated[str | None, typer.Option("--root", help="Corpus; default: data.root of the parameters.")] = None,
    output: Annotated[
        str, typer.Option("--output", help="Feature store: a folder or s3://bucket/prefix.")
    ] = "data/features",
    on: Annotated[str, typer.Option("--on", help="Where it runs: local, flink, dataflow or spark.")] = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Workers; default: one per core here, one per free slot of a Flink cluster."
        ),
    ] = None,
    report: Annotated[
        Path, typer.Option("--report", help="Folder for the data validation: balance, distributions, shortcuts.")
    ] = Path("reports/data"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print shards, bytes and expected time; write nothing.")
    ] = False,
) -> None:
    """Run the Beam job: decode, augment and write spectrograms to the feature store.

    A run that was stopped goes on where it was; after a change only the shards that it concerns are redone. Beam options
    follow `--`, or stand in BEAM_ARGS.
    """
    hush_beam()
    from pipeline.cli.console import progress_bar
    from pipeline.corpus.manifest import read_manifest
    from pipeline.job.run import Plan, Progress, plan_run, run_features
    from pipeline.params import load_params
    from pipeline.runners import run as runners

    loaded = load_params(params)
    rows = read_manifest(manifest_path)
    corpus = Path(root or loaded.data.root)
    audio_root = corpus if corpus.is_dir() else corpus.parent
    if dry_run:
        _print_dry_run(plan_run(rows, output, loaded), audio_root, loaded)
        return
    flags = runners.pipeline_options(on, context.args, workers)
    with progress_bar("clips") as bar:
        # Shown once there is something to wait for, not above the error of a check.
        task = bar.add_task("Features", total=None, note="", visible=False)

        def planned(plan: Plan) -> None:
            _print_plan(plan)
            if plan.standing.pending:
                bar.update(task, total=plan.pending_clips, note="starting workers", visible=True)

        def progressed(progress: Progress) -> None:
            done, speed = progress.done, bar.tasks[task].speed
            note = f"{done.shards}/{progress.total_shards} shards"
            if done.rejects:
                note += f", {done.rejects} rejects"
            if speed:
                each = f" by {len(done.workers)} workers" if done.workers else ""
                note += f", {speed:.0f}/s{each}"
            bar.update(task, completed=done.clips, total=progress.total_clips, note=note)

        outcome = run_features(rows, audio_root, output, loaded, flags, planned, progressed)
    _print_outcome(output, outcome)
    _validate(output, report)


def _validate(output: str, folder: Path) -> None:
    """Writes the data validation of the store and warns of what would make its results worthless."""
    from model.evaluation.data_validation import (
        MEASURES,
        SHORTCUT_EER,
        shortcuts_of,
        uneven_rejects_of,
        validate,
        write_report,
    )
    from pipeline.cli.console import console, table
    from pipeline.store import FeatureStore

    store = FeatureStore.open(output)
    report = validate(store.index, store.rejects())
    write_report(folder, report, store.index)
    shortcuts = [
        (shortcut.split, MEASURES[shortcut.measure], f"{shortcut.eer:.1%}", *_medians(shortcut))
        for shortcut in shortcuts_of(report)
    ]
    if shortcuts:
        title = f"Shortcuts: a number that tells the classes apart without the voice (EER below {SHORTCUT_EER:.0%})"
        headings = ("split", "measure", "EER", "bona fide, median", "spoof, median")
        console.print(table(title, headings, shortcuts), style="yellow")
    for uneven in uneven_rejects_of(report):
        console.print(
            f"[yellow]{uneven.split}: {uneven.bona_fide:.1%} of bona fide and {uneven.spoof:.1%} of spoof clips were rejected: "
            f"the classes are not treated alike; see {folder}/validation.json[/yellow]"
        )


def _medians(shortcut: "Shortcut") -> tuple[str, str]:
    return f"{shortcut.bona_fide:.3g}", f"{shortcut.spoof:.3g}"


def _print_plan(plan: "Plan") -> None:
    from pipeline.cli.console import console, size

    standing = plan.standing
    if standing.changes:
        console.print("the store was made with other parameters or versions and is made anew:")
        for change in standing.changes:
            console.print(f"  {change}")
    for change in standing.split_changes:
        console.print(f"  {change}: the split is written anew")
    console.print(
        f"{len(standing.kept)} shards kept, {len(standing.pending)} to do: {plan.pending_clips:,} clips, "
        f"about {size(plan.pending_bytes)}"
    )


def _print_dry_run(plan: "Plan", root: Path, params: "Params") -> None:
    from pipeline.cli.console import console, duration
    from pipeline.job.run import expected_seconds

    _print_plan(plan)
    if plan.standing.pending:
        console.print(
            f"expected time on one core: {duration(expected_seconds(plan, root, params))}, measured on a few of the clips"
        )


def _print_outcome(output: str, outcome: "Outcome") -> None:
    from pipeline.cli.console import console, duration, size, table
    from pipeline.job.run import count_rejects

    lines = [
        (
            split,
            counts["shards"],
            f"{counts['bona_fide']:,}",
            f"{counts['spoof']:,}",
            f"{counts['examples']:,}",
            f"{counts['rejects']:,}",
            f"{counts['duration_s'] / 3600:.2f}",
            size(counts["record_bytes"]),
        )
        for split, counts in outcome.info["splits"].items()
    ]
    headings = ("split", "shards", "bona fide", "spoof", "examples", "rejects", "hours", "size")
    console.print(table(f"{output}: {outcome.info['config_fingerprint'][:12]}", headings, lines))
    if outcome.rejects.num_rows:
        rows = [(reason, label, count) for (reason, label), count in sorted(count_rejects(outcome.rejects).items())]
        console.print(table("Rejects", ("reason", "class", "utterances"), rows))
    console.print(f"{outcome.kept} shards kept, {outcome.redone} redone in {duration(outcome.seconds)}")
    if outcome.done.workers:
        console.print(_workers_line(outcome.done.workers))


def _workers_line(workers: "Mapping[str, WorkerCounts]") -> str:
    """What the workers made per second while they worked, without the time in which they started or waited."""
    rates = sorted(worker.clips / worker.busy_s for worker in workers.values() if worker.busy_s)
    if not rates:
        return f"{len(workers)} workers"
    spread = f"{rates[0]:.1f}" if len(rates) == 1 else f"{rates[0]:.1f} to {rates[-1]:.1f}, median {median(rates):.1f}"
    return f"{len(workers)} worker{'s' if len(workers) != 1 else ''}: {spread} clips/s each while at work"
