"""The command `bonafide fuse`: one system out of the scores of several."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.artifacts import EVALUATED_SPLITS, EVALUATION_FOLDER, MEMBERS_FOLDER, member_evaluation, scores_file
from model.cli.options import DEFAULT_PARAMS, DevProtocolOption, warnings_as_notes
from pipeline.cli.options import JsonOption, ParamsOption

if TYPE_CHECKING:
    from model.evaluation.fusion import FusionResult


def fuse(
    dev: Annotated[
        list[Path] | None,
        typer.Option("--dev", help="Dev scores of a system; once per system, two at least."),
    ] = None,
    evaluation: Annotated[
        list[Path] | None, typer.Option("--eval", help="Eval scores of a system; in the order of --dev.")
    ] = None,
    fusion: Annotated[
        str | None,
        typer.Option(
            "--fusion", help="Instead of files: fuse the networks of this entry of fusions in the parameter file."
        ),
    ] = None,
    params: ParamsOption = DEFAULT_PARAMS,
    output: Annotated[
        Path, typer.Option("--output", help="Folder for dev.txt, eval.txt, fusion.json and metrics.")
    ] = Path("fused"),
    dev_protocol: DevProtocolOption = None,
    eval_protocol: Annotated[
        Path | None,
        typer.Option("--eval-protocol", help="Protocol of the eval scores; files of four columns need none."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fuse several systems: weights by logistic regression on their dev scores, applied to their eval scores.

    Takes the score files that `bonafide metrics` takes, of any program. The fused scores are log-likelihood ratios.
    """
    if (fusion is None) == (dev is None and evaluation is None):
        raise typer.BadParameter("give either --dev and --eval for each system, or --fusion", param_hint="--fusion")
    from model.evaluation.fusion import fuse as fuse_scores
    from pipeline.cli.console import console, print_json, results

    dev_files, eval_files = (dev or [], evaluation or []) if fusion is None else _scores_of(params, fusion)
    with warnings_as_notes():
        result = fuse_scores(dev_files, eval_files, output, dev_protocol, eval_protocol)
    if as_json:
        errors = {split: [vars(system) for system in systems] for split, systems in result.errors.items()}
        weights, intercept = result.fusion.weights.tolist(), result.fusion.intercept
        print_json({"systems": result.systems, "weights": weights, "intercept": intercept, **errors})
        return
    results().print(_table(result))
    if "eval" not in result.errors:
        results().print("eval has no labels: fused scores only (--eval-protocol)")
    console.print(f"{output}: dev.txt, eval.txt, fusion.json, metrics")


def _scores_of(params: Path, fusion: str) -> tuple[list[Path], ...]:
    """The dev and the eval scores of the network of `train` and of the members of a fusion."""
    from model.params import load_fusion

    members = [Path(MEMBERS_FOLDER, member_evaluation(name)) for name in load_fusion(params, fusion)]
    folders = [Path(EVALUATION_FOLDER), *members]
    return tuple([folder / scores_file(split) for folder in folders] for split in EVALUATED_SPLITS)


def _table(result: "FusionResult") -> object:
    from model.cli.numbers import number
    from pipeline.cli.console import table

    weights = [f"{weight:+.4f}" for weight in result.fusion.weights.tolist()]
    rows = []
    for place, (name, weight) in enumerate(
        zip([*result.systems, "fusion"], [*weights, f"{result.fusion.intercept:+.4f} (offset)"], strict=True)
    ):
        cells = [
            number(value, unit)
            for split in result.errors.values()
            for value, unit in ((split[place].eer, "%"), (split[place].cllr, "bit"))
        ]
        rows.append((name, weight, *cells))
    headings = ["system", "weight", *(f"{split} {name}" for split in result.errors for name in ("EER %", "Cllr"))]
    return table("Fitted on dev; Cllr in bits, of scores calibrated on dev", headings, rows)
