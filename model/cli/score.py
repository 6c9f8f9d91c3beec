"""The command `bonafide score`: log-likelihood ratio, probability and verdict for audio files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from model.scoring.files import Verdict
from model.cli.options import DEFAULT_PARAMS, ModelOption, warnings_as_notes

# What `score` uses outside a project, where no parameter file says otherwise.
DEFAULT_PRIOR: Final = 0.5


DEFAULT_ABSTAIN_ERROR_RATE: Final = 0.05


_SCORING_WINDOWS: Final = 32


_STYLES: Final = {"bona fide": "green", "spoof": "red", "uncertain": "yellow"}


def score(
    files: Annotated[list[str], typer.Argument(help="FLAC or WAV files, folders or patterns.", show_default=False)],
    model: ModelOption = Path("data/model"),
    params: Annotated[
        Path,
        typer.Option("--params", help="Parameter file for evaluate.prior and evaluate.abstain_error_rate, if there."),
    ] = DEFAULT_PARAMS,
    prior: Annotated[
        float | None, typer.Option("--prior", min=1e-6, max=1 - 1e-6, help="Probability of bona fide beforehand.")
    ] = None,
    abstain_error_rate: Annotated[
        float | None,
        typer.Option("--abstain-error-rate", min=0.0, max=0.49, help="Error rate on dev of verdicts that are certain."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Tell for audio files whether they are bona fide: log-likelihood ratio, probability and verdict.

    A file that cannot be used is reported, the others are still scored, and the exit code is 1.
    """
    from model.params import load_params

    evaluate_params = load_params(params).evaluate if params != DEFAULT_PARAMS or params.exists() else None
    if prior is None:
        prior = evaluate_params.prior if evaluate_params else DEFAULT_PRIOR
    if abstain_error_rate is None:
        abstain_error_rate = evaluate_params.abstain_error_rate if evaluate_params else DEFAULT_ABSTAIN_ERROR_RATE
    with warnings_as_notes():
        from model.bundle import load_bundle
        from model.scoring.files import find_files, score_files

        paths = find_files(files)
        bundle = load_bundle(model)
        verdicts = list(score_files(bundle, paths, prior, abstain_error_rate, _SCORING_WINDOWS))
    if as_json:
        typer.echo(json.dumps([verdict.as_dict() for verdict in verdicts], indent=2, sort_keys=True))
    else:
        _print_verdicts(verdicts, prior)
    if any(verdict.problem for verdict in verdicts):
        raise typer.Exit(1)


def _print_verdicts(verdicts: list["Verdict"], prior: float) -> None:
    from rich.console import Console
    from rich.markup import escape

    from pipeline.cli.console import table

    rows = []
    for verdict in verdicts:
        if verdict.score is None or verdict.verdict is None:
            rows.append((escape(verdict.path), "", "", f"[red]{escape(str(verdict.problem))}[/red]"))
        else:
            style = _STYLES[verdict.verdict]
            shown = f"[{style}]{verdict.verdict}[/{style}]"
            rows.append((escape(verdict.path), f"{verdict.score:+.2f}", f"{verdict.probability:.1%}", shown))
    title = f"Bona fide from a score of {verdicts[0].threshold:+.2f}; probability at a prior of {prior:g}"
    Console(highlight=False).print(table(title, ("file", "score", "probability", "verdict"), rows))
