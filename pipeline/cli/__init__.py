"""The commands from audio to feature store, one module for each, and their registry.

Every command imports what it needs when it runs, so that help is instant. The commands only read options and print: the packages
beside this one do the work.
"""

import typer

from pipeline.cli.download import download
from pipeline.cli.examples import examples
from pipeline.cli.features import features
from pipeline.cli.manifest import manifest
from pipeline.cli.plan import plan
from pipeline.cli.store import store_app


def register(app: typer.Typer) -> None:
    """Adds the pipeline's commands to the console command."""
    app.command(epilog="Example: bonafide download asvspoof2019-la --to data/raw")(download)
    app.command(epilog="Example: bonafide plan --clips 10_000_000 --mean-seconds 3.4 --copies 3 --cores 256")(plan)
    app.command(epilog="Example: bonafide manifest --output data/manifest.parquet")(manifest)
    app.command(
        epilog=examples(
            "bonafide features",
            "bonafide features --workers 1",
            "bonafide features --on flink --output s3://bucket/store -- "
            "--flink_master=HOST:8081 --environment_config=localhost:50000",
        ),
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(features)
    app.add_typer(store_app)
