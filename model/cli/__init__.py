"""The commands from feature store to verdict, one module per command.

Each command imports what it needs when it runs, so that help is fast, and `batch`, `validate`, `metrics`, `fuse` and `compare`
never load TensorFlow. The commands only read options and print: the packages beside this one do the work.
"""

import typer

from model.cli.batch import batch
from model.cli.compare import compare
from model.cli.crossval import crossval
from model.cli.demo import demo
from model.cli.evaluate import evaluate
from model.cli.export import export
from model.cli.fuse import fuse
from model.cli.metrics import metrics
from model.cli.report import report
from model.cli.score import score
from model.cli.serve import serve
from model.cli.train import train
from model.cli.validate import validate
from pipeline.cli.examples import examples


def register(app: typer.Typer) -> None:
    """Adds the model's commands to the console command."""
    app.command(epilog="Example: bonafide validate --store data/features --output reports/data")(validate)
    app.command(
        epilog=examples(
            "bonafide crossval --store data/features --output data/crossval",
            "dvc exp run -S train.dropout=0.2 --single-item crossval",
        )
    )(crossval)
    app.command(epilog="Example: bonafide train --store data/features --output data/model")(train)
    app.command(epilog="Example: bonafide evaluate --model data/model --output reports/evaluation")(evaluate)
    app.command(epilog="Example: bonafide export --model data/model --output data/export")(export)
    app.command(epilog=examples("bonafide score call.wav", "bonafide score --json recordings/ 'more/*.flac'"))(score)
    app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        epilog=examples(
            "bonafide batch --split eval --output data/scores",
            "bonafide batch --manifest s3://b/m.parquet --root s3://b/LA --output s3://b/scores --on flink -- --parallelism=8",
        ),
    )(batch)
    app.command(epilog="Example: bonafide serve --model data/model --port 8000")(serve)
    app.command(epilog="Example: bonafide demo --model data/model")(demo)
    app.command(
        epilog=examples(
            "bonafide metrics --scores scores.txt --protocol cm.trl.txt --intervals 1000",
            "bonafide metrics --scores scores.txt --train-protocol cm.train.trn.txt",
        )
    )(metrics)
    app.command(
        epilog=examples(
            "bonafide fuse --dev a.dev --dev b.dev --eval a.eval --eval b.eval",
            "bonafide metrics --scores fused/eval.txt --dev-scores fused/dev.txt",
            "bonafide fuse --fusion NAME --output reports/fusions/NAME && bonafide score --model data/fusions/NAME call.wav",
        )
    )(fuse)
    app.command(epilog=examples("bonafide compare a.txt b.txt --protocol cm.trl.txt", "bonafide compare HEAD~1 HEAD"))(
        compare
    )
    app.command(epilog="Example: bonafide report --output reports/index.html")(report)
