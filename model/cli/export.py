"""The command `bonafide export`: write the trained model for serving, from waveform to verdict, and its model card."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli.options import DEFAULT_PARAMS, ModelOption, stated_rates, warnings_as_notes
from pipeline.cli.options import ParamsOption

if TYPE_CHECKING:
    from model.export.export import Corpus, ExportResult


def export(
    params: ParamsOption = DEFAULT_PARAMS,
    model: ModelOption = Path("data/model"),
    output: Annotated[Path, typer.Option("--output", help="Folder for the exported models.")] = Path("data/export"),
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest", help="Of the corpus data.root: compare scores on its clips, and tell the card of it."
        ),
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option("--evaluation", help="Folder of this model's evaluation, for the model card.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Folder for sizes, latencies and differences.")
    ] = None,
    flac: Annotated[
        bool,
        typer.Option("--flac", help="Also a SavedModel that takes the bytes of a FLAC file, through tensorflow-io."),
    ] = False,
) -> None:
    """Write the trained model for serving as SavedModel, ONNX and TensorFlow Lite, with a model card.

    Each takes a waveform and gives score, probability and verdict; front end, calibration and thresholds are inside.
    """
    from model.params import load_params
    from pipeline.cli.console import console

    prior, abstain_error_rate = stated_rates(params, None, None)
    root = load_params(params).data.root if manifest else ""
    with warnings_as_notes(), console.status("loading TensorFlow") as status:
        from model.bundle import load_bundle
        from model.export.export import export as export_model

        result = export_model(
            load_bundle(model),
            output,
            prior,
            abstain_error_rate,
            corpus=_corpus(manifest, root) if manifest else None,
            evaluation=evaluation,
            report=report,
            flac=flac,
            doing=status.update,
        )
    _print_result(output, result)


def _corpus(manifest: Path, root: str) -> "Corpus":
    from model.export.export import Corpus
    from pipeline.corpus.manifest import read_manifest
    from pipeline.corpus.places import corpus_path

    return Corpus(read_manifest(manifest), corpus_path(root))


def _print_result(output: Path, result: "ExportResult") -> None:
    from model.export.measure import LATENCY_CLIP_S, TOLERANCES
    from pipeline.cli.console import console, size, table, warn

    rows = []
    for name, item in result.measured.items():
        parity = item.parity
        shown = ("-", "-", "-")
        if parity is not None:
            shown = (f"{parity.max_difference:.1e}", f"{100 * parity.eer_change:+.2f}", str(parity.verdicts_changed))
            if parity.max_difference > TOLERANCES.get(name, float("inf")):
                warn(f"{name}: a score differs by {parity.max_difference:.1e}, more than {TOLERANCES[name]:g}")
        rows.append((name, size(item.bytes), f"{item.latency_ms:.1f}", *shown))
    clips = "no labelled clips to read"
    if result.reference is not None:
        clips = f"{len(result.reference.scores)} clips of {result.reference.clips.split}"
    title = (
        f"{output}: time of {LATENCY_CLIP_S:g} s of audio; against the network in Keras: largest difference of a score, change "
        f"of the EER in points, changed verdicts ({clips})"
    )
    console.print(table(title, ("model", "size", "ms", "difference", "EER", "verdicts"), rows))
    for name, reason in result.left_out.items():
        console.print(f"no {name}: {reason}")
