"""Options that several commands of the pipeline or of the model share."""

from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

ParamsOption = Annotated[Path, typer.Option("--params", help="Parameter file.")]
MemberOption = Annotated[
    str | None,
    typer.Option("--member", help="Entry of members in the parameter file whose sections and folders apply."),
]
RootOption = Annotated[str | None, typer.Option("--root", help="Corpus; default: data.root of the parameters.")]
RunnerOption = Annotated[str, typer.Option("--on", help="Where it runs: local, flink, dataflow or spark.")]
StoreOption = Annotated[str, typer.Option("--store", help="Feature store: a folder, s3:// or gs:// address.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def place_of(context: typer.Context, name: str, member: str | None) -> str:
    """What an option that names a folder says; its default is for a member the same folder below `members/NAME`.

    Without it, a command by hand would put a member's model in the place of the main network's: `data/model` becomes
    `data/members/NAME/model`.
    """
    place = str(context.params[name])
    source = context.get_parameter_source(name)
    if member is None or source is None or source.name != "DEFAULT":
        return place
    top, *rest = PurePosixPath(place).parts
    return str(PurePosixPath(top, "members", member, *rest))
