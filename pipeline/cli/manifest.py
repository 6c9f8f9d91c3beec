"""The command `bonafide manifest`: parse and check a corpus, find its audio and read the headers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

    from pipeline.corpus.layouts.base import Layout
    from pipeline.corpus.params import DataParams
    from pipeline.corpus.places import CorpusPath

from pipeline.cli.options import ParamsOption, RootOption


def manifest(
    params: ParamsOption = Path("params.yaml"),
    root: RootOption = None,
    layout_name: Annotated[
        str | None, typer.Option("--layout", help="Layout; default: data.layout, or auto for another --root.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", help="Manifest to write.")] = Path("data/manifest.parquet"),
    protocol_only: Annotated[
        bool, typer.Option("--protocol-only", help="Check the protocols and print their counts; needs no audio.")
    ] = False,
) -> None:
    """Check a corpus: parse its protocols, inspect its audio files, write one row per utterance."""
    from pipeline.cli.console import console, progress_bar, warn
    from pipeline.corpus.audio_files import audio_root
    from pipeline.corpus.layouts import AUTO, layout_of
    from pipeline.corpus.links import linked_folders
    from pipeline.corpus.manifest import manifest_batches, write_manifest
    from pipeline.corpus.params import load_corpus_params
    from pipeline.corpus.places import corpus_path

    loaded = load_corpus_params(params)
    data = loaded.data
    corpus = corpus_path(root or data.root)
    layout = layout_of(corpus, layout_name or (AUTO if root is not None else data.layout))
    console.print(f"{corpus}: {layout.title} (data.layout: {layout.name})", soft_wrap=True)
    if protocol_only:
        _check_protocols(corpus, data, layout)
        return
    summary = _Summary()
    with progress_bar("files") as bar:
        task = bar.add_task("Inspecting", total=None, note="")
        batches = manifest_batches(
            corpus,
            data.limit,
            lambda done, total: bar.update(task, completed=done, total=total),
            link_targets=data.link_targets,
            layout=layout.name,
            bonafide_number=data.bonafide_number,
            shared_audio=data.shared_audio,
            max_duration_s=loaded.features.max_duration_s,
            on_warning=warn,
        )
        write_manifest(summary.counting(batches), output)
    console.print(summary.table(f"{output}: {summary.utterances:,} utterances of {corpus}"))
    _print_completeness(layout, summary.lines if data.limit is None else None)
    for folder in linked_folders(audio_root(corpus), summary.folders):
        console.print(
            f"{folder} is a link to a folder. DVC does not look behind it, so `dvc repro` does not notice "
            "changed files there: link each file instead (cp -rs), or set data.root to the folder itself",
            style="yellow",
            soft_wrap=True,
        )
    if summary.problems:
        console.print(
            f"{summary.problems:,} files cannot be used; the features stage lists them as rejects", style="yellow"
        )


def _check_protocols(corpus: "CorpusPath", data: "DataParams", layout: "Layout") -> None:
    from pipeline.cli.console import console, table, warn
    from pipeline.corpus.manifest import count_utterances, require_both_classes
    from pipeline.corpus.protocol import read_corpus
    from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_name

    utterances = read_corpus(corpus, data.link_targets, warn, layout=layout.name, bonafide_number=data.bonafide_number)
    require_both_classes(utterances)
    counts = count_utterances(utterances)
    names = [label_name(label) for label in (BONA_FIDE, SPOOF, None)]
    rows = [
        (split, *(f"{of_split[name]:,}" for name in names), f"{of_split.total():,}")
        for split, of_split in counts.items()
    ]
    console.print(table(f"Protocols of {corpus}", ("split", *names, "all"), rows))
    _print_completeness(layout, {split: of_split.total() for split, of_split in counts.items()})


def _print_completeness(layout: "Layout", counts: "Mapping[str, int] | None") -> None:
    """Compares the lines of a corpus with the published ones, and says what a corpus without some splits is good for.

    Args:
        layout: Of the corpus.
        counts: Lines of each split; None where `data.limit` leaves some out.
    """
    from pipeline.cli.console import console

    if counts is None:
        return
    if (compared := layout.compared(counts)) is not None:
        console.print(compared, soft_wrap=True)
    absent = [split for split, count in counts.items() if not count]
    if "train" in absent or "dev" in absent:
        console.print(
            f"there is no {' and no '.join(absent)} split: features and scores can be made, training needs train and dev",
            soft_wrap=True,
        )


class _Summary:
    """Counts of the rows of a manifest, for the terminal.

    Attributes:
        utterances: Number of rows.
        lines: Number of rows of each split.
        problems: Rows whose file cannot be used.
        folders: Folders of the audio files, relative to the corpus.
    """

    def __init__(self) -> None:
        from pipeline.corpus.schema import SPLITS

        self.utterances = self.problems = 0
        self.folders: set[str] = set()
        self._labels: dict[str, Counter[int | None]] = {split: Counter() for split in SPLITS}
        self._speakers: dict[str, set[str | None]] = {split: set() for split in SPLITS}
        self._seconds = dict.fromkeys(SPLITS, 0.0)

    def counting(self, batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """Passes batches on and counts their rows."""
        for batch in batches:
            self.utterances += batch.num_rows
            self.problems += batch.num_rows - batch["problem"].null_count
            self.folders.update(path.rpartition("/")[0] for path in batch["path"].to_pylist())
            columns = (batch[name].to_pylist() for name in ("split", "label", "speaker_id", "duration_s"))
            for split, label, speaker, duration in zip(*columns, strict=True):
                self._labels[split][label] += 1
                self._speakers[split].add(speaker)
                self._seconds[split] += duration or 0.0
            yield batch

    @property
    def lines(self) -> dict[str, int]:
        return {split: labels.total() for split, labels in self._labels.items()}

    def table(self, title: str) -> "Table":
        """The counts of each split."""
        from pipeline.cli.console import table
        from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_name

        classes = (BONA_FIDE, SPOOF, None)
        lines = [
            (
                split,
                *(f"{labels[label]:,}" for label in classes),
                f"{len(self._speakers[split] - {None}):,}",
                f"{self._seconds[split] / 3600:.2f}",
            )
            for split, labels in self._labels.items()
        ]
        return table(title, ("split", *map(label_name, classes), "speakers", "hours"), lines)
