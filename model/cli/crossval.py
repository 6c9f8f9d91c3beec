"""The command `bonafide crossval`: how a recipe does on attacks that were left out of train."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.cli.options import DEFAULT_PARAMS, warnings_as_notes
from model.cli.stores import CacheOption, StreamOption, Verify, VerifyOption, copied_store
from pipeline.cli.options import MemberOption, ParamsOption, StoreOption, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.training.callbacks import Progressed
    from model.training.epoch_metrics import Epoch


def crossval(
    context: typer.Context,
    params: ParamsOption = DEFAULT_PARAMS,
    member: MemberOption = None,
    store: StoreOption = "data/features",
    output: Annotated[Path, typer.Option("--output", help="Folder for the held-out scores.")] = Path("data/crossval"),
    report: Annotated[Path, typer.Option("--report", help="Folder for metrics.json.")] = Path("reports/crossval"),
    verify: VerifyOption = Verify.quick,
    cache: CacheOption = None,
    stream: StreamOption = False,
) -> None:
    """Leave attacks out of train in turn and measure the EER on them: chooses a recipe without a look at eval.

    Each fold of `crossval` in params.yaml trains a network without some attacks of train, which then scores the dev clips of
    these attacks and the bona fide clips of dev. `bonafide train --crossval` calibrates on these scores, too. Interrupted, it
    goes on like a training.
    """
    from model.params import load_params
    from pipeline.cli.console import console, progress_bar, results

    loaded = load_params(params, member)
    store = place_of(context, "store", member)
    output, report = (Path(place_of(context, name, member)) for name in ("output", "report"))
    with warnings_as_notes(), progress_bar("steps") as bar:
        task = bar.add_task("Folds", total=None, note="loading TensorFlow")
        from model.bundle import work_folder
        from model.training.crossval import cross_validate, write_crossval

        def progress_of(fold: int, attacks: "Sequence[str]") -> "Progressed":
            def progressed(steps: int, total_steps: int, latest: "Epoch | None") -> None:
                note = f"without {', '.join(attacks)}"
                bar.update(task, description=f"Fold {fold}", completed=steps, total=total_steps, note=note)

            return progressed

        checkpoints = work_folder(output)
        with copied_store(store, verify, ("train", "dev"), cache, stream=stream) as opened:
            result = cross_validate(opened, loaded.train, loaded.crossval, progress_of, checkpoints, console.print)
        write_crossval(result, output, report)
        shutil.rmtree(checkpoints, ignore_errors=True)
    if result.metrics["folds"]:
        results().print(_table(result.metrics))
    else:
        console.print(result.note or "no leave-attacks-out: crossval.folds is 0", style="yellow" if result.note else "")


def _table(metrics: dict[str, Any]) -> object:
    from model.cli.numbers import number
    from pipeline.cli.console import table

    rows = []
    for name, fold in metrics["folds"].items():
        rows.append((name, "all", f"{fold['n_bonafide']:,}", f"{fold['n_spoof']:,}", number(fold["eer"], "%")))
        for attack in fold["attacks"]:
            of_attack = metrics["per_attack"][attack]
            rows.append(("", attack, "", f"{of_attack['n_spoof']:,}", number(of_attack["eer"], "%")))
    rows.append(("mean", "", "", "", number(metrics["mean_eer"], "%")))
    headings = ("fold", "attack left out", "bona fide", "spoof", "EER %")
    return table("Attacks left out of train, scored on dev", headings, rows)
