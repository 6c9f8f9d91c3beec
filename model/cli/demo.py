"""The command `bonafide demo`: a page that shows the verdict of a recording."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from model.cli.options import DEFAULT_PARAMS, DetectorOption, RatesParamsOption, stated_rates, warnings_as_notes
from model.cli.serve import DurationOption, HostOption, PortOption, SizeOption, require_extra


def demo(
    model: DetectorOption = Path("data/model"),
    examples: Annotated[
        Path, typer.Option("--examples", help="Corpus with examples of both classes; left out where there is none.")
    ] = Path("data/sample/LA"),
    host: HostOption = "127.0.0.1",
    port: PortOption = 7860,
    max_mib: SizeOption = 64,
    max_seconds: DurationOption = 600.0,
    params: RatesParamsOption = DEFAULT_PARAMS,
) -> None:
    """Show a page to drop, record or pick a recording: verdict, warnings, evidence, score over time.

    The page is for this machine alone and asks no other host. Uploads are deleted at the end.
    """
    require_extra("demo", "fastapi", "gradio", "uvicorn")
    prior, abstain_error_rate = stated_rates(params, None, None)
    with tempfile.TemporaryDirectory(prefix="bonafide-demo-") as folder, warnings_as_notes():
        from model.detector import Detector
        from model.service.batches import warm_up
        from model.service.demo import make_demo
        from model.service.examples import find_examples
        from model.service.limits import MEBIBYTE, Limits
        from model.service.server import run

        detector = Detector.load(model, prior, abstain_error_rate, longest_s=max_seconds)
        warm_up(detector)
        limits = Limits(max_mib * MEBIBYTE, max_seconds)
        page = make_demo(detector, limits, find_examples(examples), Path(folder))
        started = run(page, host, port, lambda address: typer.echo(f"{address}  (Ctrl-C ends it)"))
    if not started:
        raise typer.Exit(1)
