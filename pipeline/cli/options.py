"""Options that several commands of the pipeline or of the model share."""

from pathlib import Path
from typing import Annotated

import typer

ParamsOption = Annotated[Path, typer.Option("--params", help="Parameter file.")]
MemberOption = Annotated[
    str | None, typer.Option("--member", help="Entry of members in the parameter file whose sections apply.")
]
RootOption = Annotated[str | None, typer.Option("--root", help="Corpus; default: data.root of the parameters.")]
RunnerOption = Annotated[str, typer.Option("--on", help="Where it runs: local, flink, dataflow or spark.")]
StoreOption = Annotated[str, typer.Option("--store", help="Feature store: a folder, s3:// or gs:// address.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
