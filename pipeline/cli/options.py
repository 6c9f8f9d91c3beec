"""Options that several commands of the pipeline share."""

from pathlib import Path
from typing import Annotated

import typer

ParamsOption = Annotated[Path, typer.Option("--params", help="Parameter file.")]
