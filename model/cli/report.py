"""The command `bonafide report`: the results of all stages on one page for people."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.artifacts import FUSIONS_FOLDER, MEMBERS_FOLDER
from model.cli.options import DEFAULT_PARAMS, ModelOption
from model.cli.stores import Verify, VerifyOption, opened_store
from pipeline.cli.options import ParamsOption, RootOption, StoreOption

if TYPE_CHECKING:
    from model.report.clips import ClipAudio
    from model.report.page import PageResult


def report(
    params: ParamsOption = DEFAULT_PARAMS,
    manifest: Annotated[
        Path, typer.Option("--manifest", help="Names the audio of each clip; without it no clip can be played.")
    ] = Path("data/manifest.parquet"),
    root: RootOption = None,
    store: StoreOption = "data/features",
    model: ModelOption = Path("data/model"),
    evaluation: Annotated[
        Path, typer.Option("--evaluation", help="Folder of scores, metrics and plots, made by `bonafide evaluate`.")
    ] = Path("reports/evaluation"),
    train_report: Annotated[
        Path, typer.Option("--train-report", help="Folder of the training curves; may be absent.")
    ] = Path("reports/train"),
    data_report: Annotated[
        Path, typer.Option("--data-report", help="Folder of the data validation; may be absent.")
    ] = Path("reports/data"),
    members: Annotated[
        Path, typer.Option("--members", help="Folder with the evaluations of the members; may be absent.")
    ] = Path(MEMBERS_FOLDER),
    fusions: Annotated[
        Path, typer.Option("--fusions", help="Folder with the files of the fusions; may be absent.")
    ] = Path(FUSIONS_FOLDER),
    output: Annotated[Path, typer.Option("--output", help="Page to write.")] = Path("reports/index.html"),
    verify: VerifyOption = Verify.quick,
) -> None:
    """Write one self-contained HTML page: conclusion, charts, attacks, hardest clips with sound, data card, limits."""
    from model.params import load_params
    from pipeline.cli.console import console

    loaded = load_params(params)
    corpus = root or loaded.data.root
    with console.status("loading TensorFlow"):
        from model.bundle import load_bundle
        from model.report.page import Sources, write_page

        bundle = load_bundle(model)
    with console.status("making the page"), opened_store(store, verify) as opened:
        result = write_page(
            opened,
            bundle,
            loaded,
            Sources(
                evaluation=evaluation,
                training=train_report,
                validation=data_report,
                model=model,
                audio=_audio(manifest, corpus),
                project=params.resolve().parent,
                members=members,
                fusions=fusions,
            ),
            output,
        )
    _print_result(output, result, manifest, corpus)


def _print_result(output: Path, result: "PageResult", manifest: Path, corpus: str) -> None:
    from pipeline.cli.console import console, size

    console.print(f"{output}: {result.conclusion} ({size(result.n_bytes)})")
    if result.n_audio < result.n_clips:
        missing = result.n_clips - result.n_audio
        console.print(
            f"{missing} of the {result.n_clips} hardest clips have no sound: "
            f"{corpus} does not have the audio that {manifest} names",
            style="yellow",
        )


def _audio(manifest: Path, root: str) -> "ClipAudio | None":
    from model.report.clips import ClipAudio, ManifestPaths
    from pipeline.corpus.audio_files import audio_root
    from pipeline.corpus.manifest import read_manifest
    from pipeline.corpus.places import corpus_path

    corpus = corpus_path(root)
    if not manifest.exists() or not corpus.exists():
        return None
    return ClipAudio(audio_root(corpus), ManifestPaths(read_manifest(manifest)))
