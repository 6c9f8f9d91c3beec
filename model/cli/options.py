"""Options that several commands of the model share."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

ParamsOption = Annotated[Path, typer.Option("--params", help="Parameter file.")]
StoreOption = Annotated[str, typer.Option("--store", help="Feature store: a folder or s3://bucket/prefix.")]
ModelOption = Annotated[Path, typer.Option("--model", help="Folder of the trained model.")]
DEFAULT_PARAMS: Final = Path("params.yaml")


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Shows the project's own warnings as one line on standard error, and none of the libraries'."""
    from model.metrics import InvertedLabelsWarning
    from pipeline.cli.console import console

    def show(message: Warning | str, *_args: object, **_kwargs: object) -> None:
        console.print(f"[yellow]warning: {message}[/yellow]")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", InvertedLabelsWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield
