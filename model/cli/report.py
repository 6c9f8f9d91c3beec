"""The command `report`: what every other stage found, on one page for people."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from model.report.clips import Corpus


def report(
    params: Annotated[Path, typer.Option("--params", help="Parameter file.")] = Path("params.yaml"),
    manifest: Annotated[
        Path, typer.Option("--manifest", help="Where each clip's audio is; without it no clip can be played.")
    ] = Path("data/manifest.parquet"),
    root: Annotated[str | None, typer.Option("--root", help="Corpus; default: data.root of the parameters.")] = None,
    store: Annotated[str, typer.Option("--store", help="Feature store: a folder or s3://bucket/prefix.")] = (
        "data/features"
    ),
    model: Annotated[Path, typer.Option("--model", help="Folder of the trained model.")] = Path("data/model"),
    evaluation: Annotated[
        Path, typer.Option("--evaluation", help="Folder of scores, metrics and plots, made by `bonafide evaluate`.")
    ] = Path("reports/evaluation"),
    train_report: Annotated[
        Path, typer.Option("--train-report", help="Folder of the training curves; may be absent.")
    ] = Path("reports/train"),
    data_report: Annotated[
        Path, typer.Option("--data-report", help="Folder of the data validation; may be absent.")
    ] = Path("reports/data"),
    output: Annotated[Path, typer.Option("--output", help="Page to write.")] = Path("reports/index.html"),
) -> None:
    """Write one self-contained HTML page: verdict, charts, attacks, hardest clips with sound, data card, limits."""
    from model.params import load_params
    from pipeline.cli.console import console, size

    loaded = load_params(params)
    corpus = Path(root or loaded.data.root)
    with console.status("loading TensorFlow"):
        from model.bundle import load_bundle
        from model.report.page import Sources, write_page
        from pipeline.store import FeatureStore

        bundle = load_bundle(model)
    with console.status("making the page"):
        outcome = write_page(
            FeatureStore.open(store),
            bundle,
            loaded,
            Sources(
                evaluation=evaluation,
                training=train_report,
                validation=data_report,
                model=model,
                corpus=_corpus(manifest, corpus),
                project=params.resolve().parent,
            ),
            output,
        )
    console.print(f"{output}: {outcome.verdict} ({size(outcome.n_bytes)})")
    if outcome.n_audio < outcome.n_clips:
        missing = outcome.n_clips - outcome.n_audio
        console.print(
            f"[yellow]{missing} of the {outcome.n_clips} hardest clips have no sound: "
            f"their audio is not in {corpus} as {manifest} has it[/yellow]"
        )


def _corpus(manifest: Path, root: Path) -> "Corpus | None":
    from model.report.clips import Corpus
    from pipeline.corpus.audio_files import audio_root
    from pipeline.corpus.manifest import read_manifest

    if not manifest.exists() or not root.exists():
        return None
    rows = read_manifest(manifest)
    paths = dict(zip(rows["utterance_id"].to_pylist(), rows["path"].to_pylist(), strict=True))
    return Corpus(audio_root(root), paths)
