"""The command `bonafide score`: log-likelihood ratio, probability and verdict for audio files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from model.cli.options import DEFAULT_PARAMS, ModelOption, warnings_as_notes
from pipeline.cli.options import JsonOption

if TYPE_CHECKING:
    from model.scoring.files import FileScore

# Used outside a project, without a parameter file.
DEFAULT_PRIOR: Final = 0.5
DEFAULT_ABSTAIN_ERROR_RATE: Final = 0.05

_WINDOWS_PER_BATCH: Final = 32
_STYLES: Final = {"bona fide": "green", "spoof": "red", "uncertain": "yellow"}


def score(
    files: Annotated[list[str], typer.Argument(help="Audio files, folders or patterns.", show_default=False)],
    model: ModelOption = Path("data/model"),
    params: Annotated[
        Path,
        typer.Option("--params", help="Parameter file with evaluate.prior and evaluate.abstain_error_rate."),
    ] = DEFAULT_PARAMS,
    prior: Annotated[
        float | None, typer.Option("--prior", min=1e-6, max=1 - 1e-6, help="Probability of bona fide before listening.")
    ] = None,
    abstain_error_rate: Annotated[
        float | None,
        typer.Option(
            "--abstain-error-rate", min=0.0, max=0.49, help="Error rate per class on dev outside the uncertain band."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score audio files: log-likelihood ratio for bona fide, probability and verdict.

    A file that cannot be scored is reported, the others are still scored, and the exit code is 1.
    """
    from model.params import load_params
    from pipeline.cli.console import console, print_json

    evaluate_params = load_params(params).evaluate if params != DEFAULT_PARAMS or params.exists() else None
    if prior is None:
        prior = evaluate_params.prior if evaluate_params else DEFAULT_PRIOR
    if abstain_error_rate is None:
        abstain_error_rate = evaluate_params.abstain_error_rate if evaluate_params else DEFAULT_ABSTAIN_ERROR_RATE
    with warnings_as_notes():
        from model.bundle import load_bundle
        from model.scoring.files import find_files, score_files

        found = find_files(files)
        if left_out := found.left_out():
            console.print(left_out, soft_wrap=True)
        bundle = load_bundle(model)
        scored = list(score_files(bundle, found.paths, prior, abstain_error_rate, _WINDOWS_PER_BATCH))
    if as_json:
        print_json([file.as_dict() for file in scored])
    else:
        _print_scores(scored, prior)
    if any(file.problem for file in scored):
        raise typer.Exit(1)


def _print_scores(scored: list["FileScore"], prior: float) -> None:
    from rich.text import Text

    from pipeline.cli.console import results, table
    from pipeline.text import printable

    rows = []
    for file in scored:
        if file.score is None or file.verdict is None:
            rows.append((file.path, "", "", Text(printable(str(file.problem)), "red")))
        else:
            shown = Text(file.verdict, _STYLES[file.verdict])
            rows.append((file.path, f"{file.score:+.2f}", f"{file.probability:.1%}", shown))
    title = f"Bona fide from a score of {scored[0].threshold:+.2f}; probability at a prior of {prior:g}"
    results().print(table(title, ("file", "score", "probability", "verdict"), rows))
