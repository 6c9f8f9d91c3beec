"""The command `bonafide batch`: scores of a whole corpus, by the exported model on a Beam runner."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli.options import DEFAULT_PARAMS, NOT_SCORED
from pipeline.cli.options import ParamsOption, RootOption, RunnerOption

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from model.batch.run import BatchPlan, BatchResult


def batch(
    context: typer.Context,
    manifest: Annotated[
        str,
        typer.Option(
            "--manifest", help="Made by `bonafide manifest`: a file, or an address such as s3://bucket/m.parquet."
        ),
    ] = "data/manifest.parquet",
    root: RootOption = None,
    params: ParamsOption = DEFAULT_PARAMS,
    model: Annotated[Path, typer.Option("--model", help="Folder of `bonafide export`, with its ONNX model.")] = Path(
        "data/export"
    ),
    output: Annotated[str, typer.Option("--output", help="Scores: a folder or s3://bucket/prefix.")] = "data/scores",
    split: Annotated[str | None, typer.Option("--split", help="Score this split alone.")] = None,
    on: RunnerOption = "local",
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Workers; default: one per core here, or per free slot.")
    ] = None,
    clips_per_shard: Annotated[
        int, typer.Option("--clips-per-shard", min=1, help="Clips that one worker scores in one step.")
    ] = 500,
    anew: Annotated[
        bool, typer.Option("--anew", help="Remove scores of another model or manifest; without it they are an error.")
    ] = False,
) -> None:
    """Score a corpus with the exported model, on this machine or a cluster: Parquet, and score files in ASVspoof's form.

    A stopped run continues with the next run. Clips that cannot be scored are counted, and the exit code is 1.

    Beam options follow `--` or are set in BEAM_ARGS.
    """
    from pipeline.runners.beam_log import hush_beam

    hush_beam()
    from model.batch.exported import read_exported
    from model.batch.run import run_batch
    from pipeline.cli.console import progress_bar
    from pipeline.corpus.audio_files import audio_root
    from pipeline.corpus.places import corpus_path
    from pipeline.params import load_params
    from pipeline.runners.profiles import pipeline_options

    exported = read_exported(model)
    rows = _rows(manifest, split)
    clips = audio_root(corpus_path(root or load_params(params).data.root))
    flags = pipeline_options(on, context.args, workers)
    with progress_bar("clips") as bar:
        # Visible once the work begins, not above the error message of a check before it.
        task = bar.add_task("Scoring", total=None, note="", visible=False)
        result = run_batch(
            *(rows, clips, exported, output, flags),
            anew=anew,
            clips_per_shard=clips_per_shard,
            on_plan=lambda plan: _show_plan(plan, bar, task),
            on_progress=lambda n_clips: bar.update(task, completed=n_clips),
        )
    _print_result(result)
    if result.problems:
        raise typer.Exit(NOT_SCORED)


def _rows(manifest: str, split: str | None) -> "pa.Table":
    """The rows of a manifest, of one split if it is named."""
    import pyarrow.compute as pc

    from pipeline.corpus.manifest import read_manifest
    from pipeline.corpus.places import corpus_path
    from pipeline.corpus.schema import SPLITS
    from pipeline.errors import ParamsError

    if split is not None and split not in SPLITS:
        raise ParamsError(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
    rows = read_manifest(corpus_path(manifest))
    return rows if split is None else rows.filter(pc.equal(rows["split"], split))


def _show_plan(plan: "BatchPlan", bar: "Bar", task: "TaskID") -> None:
    """Prints the plan; shows the bar if there is work."""
    kept = len(plan.shards) - len(plan.pending)
    bar.console.print(f"{kept} shards kept, {len(plan.pending)} to do: {plan.pending_clips:,} clips")
    bar.update(task, total=plan.pending_clips, visible=bool(plan.pending))


def _print_result(result: "BatchResult") -> None:
    from pipeline.cli.console import console, duration, table

    n_problems = result.problems.total()
    if n_problems:
        rows = sorted(result.problems.items())
        console.print(table("Clips without a score", ("reason", "clips"), rows))
    console.print(
        f"{result.n_clips - n_problems:,} of {result.n_clips:,} clips have a score: {result.kept} shards kept, "
        f"{result.scored} scored in {duration(result.seconds)}"
    )
    for file in result.files:
        console.print(file, soft_wrap=True)
