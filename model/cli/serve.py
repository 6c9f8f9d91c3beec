"""The command `bonafide serve`: the detector as an HTTP service."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from model.cli.options import (
    DEFAULT_PARAMS,
    ChecksOption,
    DetectorOption,
    RatesParamsOption,
    stated_rates,
    warnings_as_notes,
)

HostOption = Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all of the machine.")]
PortOption = Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port; 0 for a free one.")]
SizeOption = Annotated[int, typer.Option("--max-mib", min=1, max=1024, help="Largest upload, MiB.")]
DurationOption = Annotated[
    float, typer.Option("--max-seconds", min=1.0, max=43_200.0, help="Longest recording, seconds.")
]


def require_extra(extra: str, *modules: str) -> None:
    """Makes sure that the packages of an extra are installed.

    Raises:
        ModelError: One is not; the message says how to install them.
    """
    from model.errors import ModelError

    if missing := [name for name in modules if find_spec(name) is None]:
        raise ModelError(f"{', '.join(missing)}: not installed; pip install 'bonafide[{extra}]'")


def serve(
    model: DetectorOption = Path("data/model"),
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    max_mib: SizeOption = 32,
    max_seconds: DurationOption = 600.0,
    max_requests: Annotated[
        int, typer.Option("--max-requests", min=1, help="Requests in progress at once; others get 429.")
    ] = 100,
    params: RatesParamsOption = DEFAULT_PARAMS,
    checks: ChecksOption = True,
) -> None:
    """Score recordings over HTTP: POST /score, /healthz, /metrics, /docs.

    Ctrl-C or SIGTERM end it after the requests in flight. No recording is written to disk.
    """
    require_extra("serve", "fastapi", "fastapi_offline", "prometheus_client", "python_multipart", "uvicorn")
    prior, abstain_error_rate = stated_rates(params, None, None)
    with warnings_as_notes():
        from model.detector import Detector
        from model.service.app import make_app
        from model.service.batches import warm_up
        from model.service.limits import MEBIBYTE, Limits
        from model.service.server import run

        detector = Detector.load(model, prior, abstain_error_rate, checks=checks, longest_s=max_seconds)
        limits = Limits(max_mib * MEBIBYTE, max_seconds, max_requests)
        warm_up(detector)
        app = make_app(detector, limits)
        started = run(app, host, port, lambda address: typer.echo(f"{address}/score  (documentation: {address}/docs)"))
    if not started:
        raise typer.Exit(1)
