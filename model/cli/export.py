"""The command `bonafide export`: write the trained model for serving, from waveform to score."""

from pathlib import Path
from typing import Annotated

import typer

from model.cli.options import ModelOption, warnings_as_notes


def export(
    model: ModelOption = Path("data/model"),
    output: Annotated[Path, typer.Option("--output", help="Folder for the exported models.")] = Path("data/export"),
) -> None:
    """Write the trained model for serving: a waveform in, its log-likelihood ratio out, front end inside."""
    from pipeline.cli.console import console, size

    with warnings_as_notes(), console.status("loading TensorFlow"):
        from model.bundle import load_bundle
        from model.export.export import export as export_model

        result = export_model(load_bundle(model), output)
    files = ", ".join(f"{name} ({size(n_bytes)})" for name, n_bytes in result.sizes.items())
    console.print(f"{output}: {files}")
