"""The command `bonafide validate`: balance, distributions and shortcuts of a feature store. Needs no TensorFlow."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.cli.stores import Verify, VerifyOption, opened_store
from pipeline.cli.options import StoreOption

if TYPE_CHECKING:
    from model.evaluation.data_validation import Shortcut


def validate(
    store: StoreOption = "data/features",
    output: Annotated[
        Path, typer.Option("--output", help="Folder for balance, distributions and shortcuts, as JSON, CSV and PNG.")
    ] = Path("reports/data"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON too.")] = False,
    verify: VerifyOption = Verify.quick,
) -> None:
    """Describe the clips of a feature store and warn of what tells the classes apart without the voice.

    A warning does not change the exit code.
    """
    from model.evaluation.data_validation import uneven_rejects_of
    from model.evaluation.data_validation import validate as validate_store
    from model.evaluation.validation_files import write_report
    from pipeline.cli.console import console, print_json
    from pipeline.store.describe import DESCRIBED

    with opened_store(store, verify, DESCRIBED) as opened:
        report = validate_store(opened.index, opened.rejects())
        write_report(output, report, opened.index)
    if as_json:
        print_json(report)
    _print_shortcuts(report, output)
    for uneven in uneven_rejects_of(report):
        console.print(
            f"{uneven.split}: {uneven.bona_fide:.1%} of bona fide and {uneven.spoof:.1%} of spoof clips were rejected: "
            f"the classes are not treated alike; see {output}/validation.json",
            style="yellow",
        )


def _print_shortcuts(report: dict[str, Any], output: Path) -> None:
    from model.evaluation.data_validation import SHORTCUT_EER, shortcuts_of
    from pipeline.cli.console import console, table
    from pipeline.store.describe import MEASURES

    found = shortcuts_of(report)
    if not found:
        console.print(f"{output}: no measure alone tells the classes apart with an EER below {SHORTCUT_EER:.0%}")
        return
    rows = [
        (shortcut.split, MEASURES[shortcut.measure], f"{shortcut.eer:.1%}", *_medians(shortcut)) for shortcut in found
    ]
    title = (
        f"{output}, shortcuts: a number that tells the classes apart without the voice (EER below {SHORTCUT_EER:.0%})"
    )
    headings = ("split", "measure", "EER", "bona fide, median", "spoof, median")
    console.print(table(title, headings, rows), style="yellow")


def _medians(shortcut: "Shortcut") -> tuple[str, str]:
    return f"{shortcut.bona_fide:.3g}", f"{shortcut.spoof:.3g}"
