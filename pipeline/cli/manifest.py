"""The command `bonafide manifest`: parse and check a corpus, find its audio and read the headers."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

from pipeline.cli.options import ParamsOption


def manifest(
    params: ParamsOption = Path("params.yaml"),
    root: Annotated[str | None, typer.Option("--root", help="Corpus; default: data.root of the parameters.")] = None,
    output: Annotated[Path, typer.Option("--output", help="Manifest to write.")] = Path("data/manifest.parquet"),
    protocol_only: Annotated[
        bool, typer.Option("--protocol-only", help="Check the protocols and print their counts; needs no audio.")
    ] = False,
) -> None:
    """Check a corpus: parse its protocols, inspect its audio files, write one row per utterance."""
    from pipeline.cli.console import console, progress_bar, table
    from pipeline.corpus.manifest import build_manifest, count_utterances, require_both_classes, write_manifest
    from pipeline.corpus.params import load_data_params
    from pipeline.corpus.protocol import read_corpus
    from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_name

    data = load_data_params(params)
    corpus = Path(root or data.root)
    if protocol_only:
        utterances = read_corpus(corpus)
        require_both_classes(utterances)
        counts = count_utterances(utterances)
        names = [label_name(label) for label in (BONA_FIDE, SPOOF, None)]
        rows = [
            (split, *(f"{of_split[name]:,}" for name in names), f"{of_split.total():,}")
            for split, of_split in counts.items()
        ]
        console.print(table(f"Protocols of {corpus}", ("split", *names, "all"), rows))
        return
    with progress_bar("files") as bar:
        task = bar.add_task("Inspecting", total=None, note="")
        result = build_manifest(corpus, data.limit, lambda done, total: bar.update(task, completed=done, total=total))
    write_manifest(result, output)
    console.print(_manifest_table(result, f"{output}: {result.num_rows:,} utterances of {corpus}"))
    problems = result.num_rows - result["problem"].null_count
    if problems:
        console.print(f"[yellow]{problems:,} files cannot be used; the features stage lists them as rejects[/yellow]")


def _manifest_table(rows: "pa.Table", title: str) -> "Table":
    from pipeline.cli.console import table
    from pipeline.corpus.schema import BONA_FIDE, SPLITS, SPOOF, label_name

    classes = (BONA_FIDE, SPOOF, None)
    labels: dict[str, Counter[int | None]] = {split: Counter() for split in SPLITS}
    speakers: dict[str, set[str | None]] = {split: set() for split in SPLITS}
    seconds = dict.fromkeys(SPLITS, 0.0)
    for batch in rows.select(["split", "label", "speaker_id", "duration_s"]).to_batches(max_chunksize=4096):
        for split, label, speaker, duration in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            labels[split][label] += 1
            speakers[split].add(speaker)
            seconds[split] += duration or 0.0
    lines = [
        (
            split,
            *(f"{labels[split][label]:,}" for label in classes),
            f"{len(speakers[split] - {None}):,}",
            f"{seconds[split] / 3600:.2f}",
        )
        for split in SPLITS
    ]
    return table(title, ("split", *map(label_name, classes), "speakers", "hours"), lines)
