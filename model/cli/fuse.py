"""The command `bonafide fuse`: one system out of the scores of several."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.artifacts import (
    EVALUATION_FOLDER,
    MAIN_NETWORK,
    MEMBER_DATA_FOLDER,
    MEMBERS_FOLDER,
    MODEL_FOLDER,
    fusion_bundle,
    member_evaluation,
    member_model,
)
from model.cli.options import DEFAULT_PARAMS, DevProtocolOption, warnings_as_notes
from pipeline.cli.options import JsonOption, ParamsOption

if TYPE_CHECKING:
    from model.evaluation.fusion import FusionResult
    from model.evaluation.network_fusion import FusedNetwork


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
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            help="With --fusion, folder for the model that scores audio with it; default: data/fusions/NAME.",
            show_default=False,
        ),
    ] = None,
    dev_protocol: DevProtocolOption = None,
    eval_protocol: Annotated[
        Path | None,
        typer.Option("--eval-protocol", help="Protocol of the eval scores; files of four columns need none."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fuse several systems: weights by logistic regression on their dev scores, applied to their eval scores.

    Takes the score files that `bonafide metrics` takes, of any program. The fused scores are log-likelihood ratios.

    With --fusion it also writes a model of several networks for `bonafide score --model`, `serve` and `demo`.
    """
    if (fusion is None) == (dev is None and evaluation is None):
        raise typer.BadParameter("give either --dev and --eval for each system, or --fusion", param_hint="--fusion")
    if fusion is None and bundle is not None:
        raise typer.BadParameter("only networks of --fusion make a model, score files do not", param_hint="--bundle")
    from model.evaluation.fusion import fuse as fuse_scores
    from model.evaluation.network_fusion import fuse_networks
    from pipeline.cli.console import print_json

    with warnings_as_notes():
        if fusion is None:
            result = fuse_scores(dev or [], evaluation or [], output, dev_protocol, eval_protocol)
        else:
            bundle = bundle or Path(fusion_bundle(fusion))
            result = fuse_networks(_networks(params, fusion), output, bundle, dev_protocol, eval_protocol)
    if as_json:
        errors = {split: [vars(system) for system in systems] for split, systems in result.errors.items()}
        weights, intercept = result.fusion.weights.tolist(), result.fusion.intercept
        print_json({"systems": result.systems, "weights": weights, "intercept": intercept, **errors})
        return
    _print_result(result, output, bundle)


def _print_result(result: "FusionResult", output: Path, bundle: Path | None) -> None:
    from pipeline.cli.console import console, results

    results().print(_table(result))
    if "eval" not in result.errors:
        results().print("eval has no labels: fused scores only (--eval-protocol)")
    console.print(f"{output}: dev.txt, eval.txt, fusion.json, metrics")
    if bundle is not None:
        console.print(f"bonafide score --model {bundle} scores audio with this fusion", soft_wrap=True)


def _networks(params: Path, fusion: str) -> "list[FusedNetwork]":
    """The network of `train` and the members of a fusion."""
    from model.evaluation.network_fusion import FusedNetwork
    from model.params import load_fusion

    members = [
        FusedNetwork(name, Path(MEMBER_DATA_FOLDER, member_model(name)), Path(MEMBERS_FOLDER, member_evaluation(name)))
        for name in load_fusion(params, fusion)
    ]
    return [FusedNetwork(MAIN_NETWORK, Path(MODEL_FOLDER), Path(EVALUATION_FOLDER)), *members]


def _table(result: "FusionResult") -> object:
    from model.cli.numbers import number
    from pipeline.cli.console import table

    weights = [f"{weight:+.4f}" for weight in result.fusion.weights.tolist()]
    rows = []
    for place, (name, weight) in enumerate(
        zip([*result.names, "fusion"], [*weights, f"{result.fusion.intercept:+.4f} (offset)"], strict=True)
    ):
        cells = [
            number(value, unit)
            for split in result.errors.values()
            for value, unit in ((split[place].eer, "%"), (split[place].cllr, "bit"))
        ]
        rows.append((name, weight, *cells))
    headings = ["system", "weight", *(f"{split} {name}" for split in result.errors for name in ("EER %", "Cllr"))]
    title = f"Fitted on {result.fitted_on}; Cllr in bits, of scores calibrated on the same trials"
    return table(title, headings, rows)
