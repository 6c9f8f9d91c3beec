"""The command `bonafide evaluate`: score dev and eval, write score files, metrics and plots."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from model.artifacts import EVALUATED_SPLITS
from model.cli.options import DEFAULT_PARAMS, ModelOption, warnings_as_notes
from pipeline.cli.options import ParamsOption, StoreOption

if TYPE_CHECKING:
    from model.evaluation.shortcut_audit import Audio

# A detector whose EER rises by more than this without the silence relies on it.
SUSPICIOUS_EER_CHANGE: Final = 0.03


def evaluate(
    params: ParamsOption = DEFAULT_PARAMS,
    store: StoreOption = "data/features",
    model: ModelOption = Path("data/model"),
    output: Annotated[Path, typer.Option("--output", help="Folder for scores, metrics and plots.")] = Path(
        "reports/evaluation"
    ),
    manifest: Annotated[
        Path, typer.Option("--manifest", help="Names the audio of each clip, for the shortcut audit.")
    ] = Path("data/manifest.parquet"),
    audit: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Score eval again with the silence cut off.")
    ] = True,
) -> None:
    """Score dev and eval with the trained model; write score files, metrics and plots."""
    from model.params import load_params
    from pipeline.cli.console import console, progress_bar

    loaded = load_params(params)
    with warnings_as_notes(), progress_bar("splits") as bar:
        task = bar.add_task("Scoring", total=None, note="loading TensorFlow")
        from model.bundle import load_bundle
        from model.evaluation.evaluate import evaluate as evaluate_model
        from model.scoring.scorer import SCORED_COLUMNS
        from pipeline.store import FeatureStore

        bundle = load_bundle(model)
        bar.update(task, total=len(EVALUATED_SPLITS), note="")
        audit_task = bar.add_task("Shortcut audit", total=None, note="clips", visible=False)
        result = evaluate_model(
            FeatureStore.open(store, SCORED_COLUMNS),
            bundle,
            loaded.evaluate,
            output,
            _audio(manifest, Path(loaded.data.root)) if audit else None,
            lambda split: bar.update(task, advance=1, note=f"{split} done"),
            lambda count: bar.update(audit_task, advance=count, visible=True),
        )
    console.print(_evaluation_table(str(output), result.metrics))
    _print_audit(result.metrics, result.notes)
    for split in result.unlabelled:
        console.print(f"{split} has no labels: scores only, in {output}/scores/{split}.txt")


def _audio(manifest: Path, corpus: Path) -> "Audio | None":
    """The clips, or None where the manifest or the corpus is missing."""
    from model.evaluation.shortcut_audit import Audio
    from pipeline.corpus.audio_files import audio_root
    from pipeline.corpus.manifest import read_manifest

    if not (manifest.is_file() and corpus.exists()):
        return None
    return Audio(read_manifest(manifest), audio_root(corpus))


def _print_audit(metrics: dict[str, Any], notes: list[str]) -> None:
    from pipeline.cli.console import console

    trimmed = metrics.get("eval", {}).get("trimmed")
    if trimmed is None:
        for note in notes or ["no shortcut audit: it needs the manifest and the corpus"]:
            console.print(note)
    else:
        change = trimmed["eer_change"]
        style = "yellow" if change > SUSPICIOUS_EER_CHANGE else ""
        text = f"with the silence at both ends cut off, the EER on eval is {trimmed['eer']:.2%} ({change * 100:+.2f} points)"
        console.print(text + (": the detector relies on silence" if style else ""), style=style)
    if not any("min_tdcf_2019" in figures for figures in metrics.values()):
        console.print("no t-DCF: evaluate.asv_scores names no scores of a speaker verification system")


def _evaluation_table(title: str, metrics: dict[str, Any]) -> object:
    from model.cli.numbers import number
    from model.metrics import HEADLINES
    from pipeline.cli.console import table

    splits = [name for name in metrics if "eer" in metrics[name]]
    rows = []
    for name, info in HEADLINES.items():
        if not any(name in metrics[split] for split in splits):
            continue
        cells = []
        for split in splits:
            figures = metrics[split]
            cell = number(figures[name], info.unit)
            if f"{name}_ci95_low" in figures:
                low, high = (number(figures[f"{name}_ci95_{end}"], info.unit) for end in ("low", "high"))
                cell += f" [{low}, {high}]"
            cells.append(cell)
        rows.append((f"{info.title} {info.unit}".strip(), *cells))
    return table(f"{title}, with 95 % intervals in brackets", ("metric", *splits), rows)
