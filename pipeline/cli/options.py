"""Options that several commands of the pipeline or of the model share."""

from pathlib import Path
from typing import Annotated

import typer

ParamsOption = Annotated[Path, typer.Option("--params", help="Parameter file.")]
StoreOption = Annotated[str, typer.Option("--store", help="Feature store: a folder, s3:// or gs:// address.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
