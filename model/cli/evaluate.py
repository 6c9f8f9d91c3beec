"""The command `bonafide evaluate`: score dev and eval, write score files, metrics and plots."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from model.artifacts import EVALUATED_SPLITS
from model.cli.options import DEFAULT_PARAMS, ModelOption, warnings_as_notes
from model.cli.stores import Verify, VerifyOption, opened_store
from pipeline.cli.options import ParamsOption, StoreOption

if TYPE_CHECKING:
    from model.evaluation.audio import Audio
    from model.evaluation.robustness import Robustness

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
        Path, typer.Option("--manifest", help="Names the audio of each clip, for the audit and the robustness table.")
    ] = Path("data/manifest.parquet"),
    audit: Annotated[
        bool,
        typer.Option(
            "--audit/--no-audit", help="Score eval again with the silence cut off, and louder, coded, in noise."
        ),
    ] = True,
    verify: VerifyOption = Verify.quick,
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

        bundle = load_bundle(model)
        bar.update(task, total=len(EVALUATED_SPLITS), note="")
        audit_task = bar.add_task("Shortcut audit", total=None, note="clips", visible=False)
        robustness_task = bar.add_task("Robustness", total=None, note="clips", visible=False)
        with opened_store(store, verify, SCORED_COLUMNS) as opened:
            result = evaluate_model(
                opened,
                bundle,
                loaded.evaluate,
                output,
                _audio(manifest, loaded.data.root) if audit else None,
                lambda split: bar.update(task, advance=1, note=f"{split} done"),
                lambda count: bar.update(audit_task, advance=count, visible=True),
                lambda count: bar.update(robustness_task, advance=count, visible=True),
            )
    console.print(_evaluation_table(str(output), result.metrics))
    _print_audit(result.metrics, result.notes)
    if result.robustness is not None:
        console.print(robustness_table(result.robustness))
    for split in result.unlabelled:
        console.print(f"{split} has no labels: scores only, in {output}/scores/{split}.txt")


def _audio(manifest: Path, root: str) -> "Audio | None":
    """The clips, or None where the manifest or the corpus is missing."""
    from model.evaluation.audio import Audio
    from pipeline.corpus.audio_files import audio_root
    from pipeline.corpus.manifest import read_manifest
    from pipeline.corpus.places import corpus_path

    corpus = corpus_path(root)
    if not (manifest.is_file() and corpus.exists()):
        return None
    return Audio(read_manifest(manifest), str(audio_root(corpus)))


def _print_audit(metrics: dict[str, Any], notes: list[str]) -> None:
    from pipeline.cli.console import console

    trimmed = metrics.get("eval", {}).get("trimmed")
    if trimmed is None:
        for note in notes or ["no shortcut audit and no robustness table: they need the manifest and the corpus"]:
            console.print(note)
    else:
        change = trimmed["eer_change"]
        style = "yellow" if change > SUSPICIOUS_EER_CHANGE else ""
        text = f"with the silence at both ends cut off, the EER on eval is {trimmed['eer']:.2%} ({change * 100:+.2f} points)"
        console.print(text + (": the detector relies on silence" if style else ""), style=style)
    if not any("min_tdcf_2019" in figures for figures in metrics.values()):
        console.print("no t-DCF: evaluate.asv_scores names no scores of a speaker verification system")


def robustness_table(robustness: "Robustness") -> object:
    """The robustness table for the terminal."""
    from model.cli.numbers import number
    from pipeline.cli.console import table

    rows = [
        (
            row.title,
            *(number(value, "%") for value in (row.eer, row.changed, row.miss, row.false_alarm, row.certain_wrong)),
        )
        for row in robustness.conditions
    ]
    title = (
        f"Robustness on {robustness.n_bonafide} bona fide and {robustness.n_spoof} spoof clips of {robustness.split}"
    )
    return table(title, ("condition", "EER %", "changed %", "miss %", "false alarm %", "certain, wrong %"), rows)


def _evaluation_table(title: str, metrics: dict[str, Any]) -> object:
    from model.metrics import CHECKS, HEADLINES
    from pipeline.cli.console import table

    splits = [name for name in metrics if "eer" in metrics[name]]
    rows: list[tuple[str, ...]] = []

    def add(label: str, name: str, unit: str, figures_of: list[dict[str, Any]]) -> None:
        if any(name in figures for figures in figures_of):
            rows.append((f"{label} {unit}".strip(), *(_cell(figures, name, unit) for figures in figures_of)))

    for name, info in HEADLINES.items():
        add(info.title, name, info.unit, [metrics[split] for split in splits])
        if name == "eer":
            for part, label in (("seen", "EER, attacks of train"), ("unseen", "EER, other attacks")):
                add(label, name, info.unit, [metrics[split].get(part, {}) for split in splits])
    for name, check in CHECKS.items():
        add(check.title, name, check.unit, [metrics[split] for split in splits])
    return table(f"{title}, with 95 % intervals in brackets", ("metric", *splits), rows)


def _cell(figures: dict[str, Any], name: str, unit: str) -> str:
    """A metric with its interval, if it has one; "-" if it is absent."""
    from model.cli.numbers import number

    if f"{name}_ci95_low" not in figures:
        return number(figures.get(name), unit)
    low, high = (number(figures[f"{name}_ci95_{end}"], unit) for end in ("low", "high"))
    return f"{number(figures[name], unit)} [{low}, {high}]"
