"""The command `bonafide evaluate`: score dev, eval and further test sets, write score files, metrics and plots."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from model.artifacts import CORPORA_FOLDER, EVALUATED_SPLITS
from model.cli.options import DEFAULT_PARAMS, ModelOption, warnings_as_notes
from model.cli.stores import CacheOption, StreamOption, Verify, VerifyOption, copied_store
from pipeline.cli.options import ParamsOption, StoreOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress as ProgressBar
    from rich.progress import TaskID

    from model.evaluation.audio import Audio
    from model.evaluation.corpora import FurtherCorpus
    from model.evaluation.evaluate import EvaluationResult, Progress
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
    corpora: Annotated[
        Path, typer.Option("--corpora", help="Folder of the manifests of evaluate.corpora, the further test sets.")
    ] = Path(CORPORA_FOLDER),
    verify: VerifyOption = Verify.quick,
    cache: CacheOption = None,
    stream: StreamOption = False,
) -> None:
    """Score dev, eval and the further test sets with the trained model; write score files, metrics and plots."""
    from model.params import load_params
    from pipeline.cli.console import progress_bar

    loaded = load_params(params)
    with warnings_as_notes(), progress_bar("splits") as bar:
        task = bar.add_task("Scoring", total=None, note="loading TensorFlow")
        from model.bundle import load_bundle
        from model.evaluation.corpora import read_corpora
        from model.evaluation.evaluate import evaluate as evaluate_model
        from model.scoring.scorer import SCORED_COLUMNS

        # Before hours of work: what is missing shows here.
        further = read_corpora(loaded.evaluate.corpora, corpora)
        bundle = load_bundle(model)
        bar.update(task, total=len(EVALUATED_SPLITS), note="")
        progress = _progress(bar, task, further)
        with copied_store(store, verify, EVALUATED_SPLITS, cache, SCORED_COLUMNS, stream=stream) as opened:
            result = evaluate_model(
                opened,
                bundle,
                loaded.evaluate,
                output,
                _audio(manifest, loaded.data.root) if audit else None,
                further,
                progress,
            )
    _print_result(result, output)


def _progress(bar: "ProgressBar", task: "TaskID", corpora: "Sequence[FurtherCorpus]") -> "Progress":
    """Shows the splits as steps of a task, and the clips of all else as tasks of their own."""
    from model.evaluation.evaluate import Progress

    clips = {"audit": ("Shortcut audit", None), "robustness": ("Robustness", None)}
    clips |= {corpus.name: (corpus.name, corpus.clips.num_rows) for corpus in corpora}
    tasks = {
        name: bar.add_task(title, total=total, note="clips", visible=False) for name, (title, total) in clips.items()
    }
    return Progress(
        lambda split: bar.update(task, advance=1, note=f"{split} done"),
        lambda name, count: bar.update(tasks[name], advance=count, visible=True),
    )


def _print_result(result: "EvaluationResult", output: Path) -> None:
    from pipeline.cli.console import console

    console.print(_evaluation_table(str(output), result.metrics))
    for split in EVALUATED_SPLITS:
        if drawn := result.metrics.get(split, {}).get("drawn"):
            console.print(f"intervals of {split}: with other {drawn}s drawn", soft_wrap=True)
    _print_band(result.metrics)
    for note in result.notes:
        console.print(note, style="yellow", soft_wrap=True)
    _print_audit(result.metrics)
    if result.robustness is not None:
        console.print(robustness_table(result.robustness))
        for condition in result.robustness.not_measured:
            text = f"{condition.title}: not measured, the package {condition.missing} is not installed"
            console.print(text, style="yellow", soft_wrap=True)
    if table := corpora_table(result.metrics):
        console.print(table)
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
    return Audio(read_manifest(manifest), audio_root(corpus))


def _print_band(metrics: dict[str, Any]) -> None:
    """What the uncertain band does to the trials that it was chosen on, and to dev and eval."""
    from model.cli.numbers import number
    from pipeline.cli.console import console, table

    band = metrics["abstain_band"]
    names = ("uncertain", "certain_wrong", "bonafide_uncertain", "bonafide_wrong", "spoof_uncertain", "spoof_wrong")
    found = {"chosen on": band["chosen_on"]} | {split: metrics[split] for split in EVALUATED_SPLITS if split in metrics}
    rows = [
        (title, *(number(figures.get(name), "%") for name in names))
        for title, figures in found.items()
        if "uncertain" in figures
    ]
    title = (
        f"Uncertain from {band['low']:+.2f} to {band['high']:+.2f}, chosen so that at most {band['error_rate']:.0%} of each "
        "class is wrong; % of all clips, or of the class"
    )
    headings = ("clips", "uncertain", "wrong", "bona fide uncertain", "wrong", "spoof uncertain", "wrong")
    console.print(table(title, headings, rows))


def _print_audit(metrics: dict[str, Any]) -> None:
    from pipeline.cli.console import console

    trimmed = metrics.get("eval", {}).get("trimmed")
    if trimmed is None:
        console.print("no shortcut audit and no robustness table: they need the corpus, its manifest and both classes")
    else:
        change = trimmed["eer_change"]
        style = "yellow" if change > SUSPICIOUS_EER_CHANGE else ""
        text = f"with the silence at both ends cut off, the EER on eval is {trimmed['eer']:.2%} ({change * 100:+.2f} points)"
        console.print(text + (": the detector relies on silence" if style else ""), style=style)
    for split in EVALUATED_SPLITS:
        for name, reason in metrics.get(split, {}).get("undefined", {}).items():
            console.print(f"{split}: no {name}: {reason}")
    if not any("asv_eer" in figures for figures in metrics.values()):
        console.print("no t-DCF: evaluate.asv_scores names no scores of a speaker verification system")


def corpora_table(metrics: dict[str, Any]) -> object | None:
    """The further test sets beside eval, for the terminal; None without any."""
    from model.evaluation.split_metrics import CORPORA
    from model.metrics import HEADLINES
    from pipeline.cli.console import table

    if CORPORA not in metrics:
        return None
    sets = {"eval": metrics["eval"]} if "eval" in metrics else {}
    rows = []
    for name, figures in (sets | metrics[CORPORA]).items():
        counts = (f"{figures[key]:,}" if key in figures else "-" for key in ("n_bonafide", "n_spoof", "n_rejected"))
        eer = _cell(figures, "eer", "%")
        rest = (_cell(figures, key, "%", brief=True) for key in ("miss", "false_alarm"))
        rows.append((name, *counts, eer, _cell(figures, "cllr", HEADLINES["cllr"].unit, brief=True), *rest))
    headings = ("test set", "bona fide", "spoof", "no score", "EER %", "Cllr bit", "miss %", "false alarm %")
    return table("Further test sets; threshold, calibration and band are those of dev", headings, rows)


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

    splits = [name for name in EVALUATED_SPLITS if "threshold" in metrics.get(name, {})]
    rows: list[tuple[str, ...]] = []

    def add(label: str, name: str, unit: str, figures_of: list[dict[str, Any]]) -> None:
        if any(name in figures for figures in figures_of):
            rows.append((f"{label} {unit}".strip(), *(_cell(figures, name, unit) for figures in figures_of)))

    for name, title in (("miss", "bona fide called spoof"), ("false_alarm", "spoof called bona fide")):
        add(title, name, "%", [metrics[split] for split in splits if "eer" not in metrics[split]])
    for name, info in HEADLINES.items():
        add(info.title, name, info.unit, [metrics[split] for split in splits])
        if name == "eer":
            for part, label in (("seen", "EER, attacks of train"), ("unseen", "EER, other attacks")):
                add(label, name, info.unit, [metrics[split].get(part, {}) for split in splits])
    for name, check in CHECKS.items():
        add(check.title, name, check.unit, [metrics[split] for split in splits])
    return table(f"{title}, with 95 % intervals in brackets", ("metric", *splits), rows)


def _cell(figures: dict[str, Any], name: str, unit: str, *, brief: bool = False) -> str:
    """A metric with its interval, if it has one and `brief` is false; "-" if it is absent."""
    from model.cli.numbers import number

    if brief or f"{name}_ci95_low" not in figures:
        return number(figures.get(name), unit)
    low, high = (number(figures[f"{name}_ci95_{end}"], unit) for end in ("low", "high"))
    return f"{number(figures[name], unit)} [{low}, {high}]"
