"""The command `bonafide fuse`: one system out of the scores of several."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli.options import DevProtocolOption, warnings_as_notes
from pipeline.cli.options import JsonOption

if TYPE_CHECKING:
    from model.evaluation.fusion import FusionResult


def fuse(
    dev: Annotated[
        list[Path],
        typer.Option("--dev", help="Dev scores of a system; once per system, two at least.", show_default=False),
    ],
    evaluation: Annotated[
        list[Path], typer.Option("--eval", help="Eval scores of a system; in the order of --dev.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", help="Folder for dev.txt, eval.txt and fusion.json.")] = Path(
        "fused"
    ),
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
    from model.evaluation.fusion import fuse as fuse_scores
    from pipeline.cli.console import console, print_json, results

    with warnings_as_notes():
        result = fuse_scores(dev, evaluation, output, dev_protocol, eval_protocol)
    if as_json:
        errors = {split: [vars(system) for system in systems] for split, systems in result.errors.items()}
        weights, intercept = result.fusion.weights.tolist(), result.fusion.intercept
        print_json({"systems": result.systems, "weights": weights, "intercept": intercept, **errors})
        return
    results().print(_table(result))
    if "eval" not in result.errors:
        results().print("eval has no labels: fused scores only (--eval-protocol)")
    console.print(f"{output}: dev.txt, eval.txt, fusion.json")


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
