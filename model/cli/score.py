"""The command `bonafide score`: verdict, probability, score and warnings for recordings, as they come."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from model.cli.options import (
    DEFAULT_PARAMS,
    NOT_SCORED,
    ChecksOption,
    DetectorOption,
    RatesParamsOption,
    stated_rates,
    warnings_as_notes,
)
from model.cli.score_output import CsvWriter, Format, ScoreWriter, open_writer

if TYPE_CHECKING:
    from model.scoring.results import FileScore
    from model.scoring.sources import Source
    from pipeline.corpus.places import CorpusPath

STANDARD_INPUT: Final = "-"
_UNUSED_BY_KERAS: Final = ("matplotlib", "pandas", "sklearn")
"""Keras imports them where they are installed, which takes a second; scoring uses nothing that needs them."""
NOT_BONA_FIDE: Final = 3
"""Exit code of --require-bona-fide when a verdict is another."""

FilesArgument = Annotated[
    list[str],
    typer.Argument(help="Audio files, folders, patterns, also in buckets; - is standard input.", show_default=False),
]


def score(
    files: FilesArgument,
    model: DetectorOption = Path("data/model"),
    params: RatesParamsOption = DEFAULT_PARAMS,
    prior: Annotated[
        float | None, typer.Option("--prior", min=1e-6, max=1 - 1e-6, help="Probability of bona fide before listening.")
    ] = None,
    abstain_error_rate: Annotated[
        float | None,
        typer.Option(
            "--abstain-error-rate", min=0.0, max=0.49, help="Error rate per class on dev outside the uncertain band."
        ),
    ] = None,
    checks: ChecksOption = True,
    output: Annotated[Format, typer.Option("--format", help="What goes to standard output.")] = Format.text,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write a CSV file, too.")] = None,
    jsonl: Annotated[Path | None, typer.Option("--jsonl", help="Write a JSON Lines file, too.")] = None,
    explain: Annotated[Path | None, typer.Option("--explain", help="Folder for a picture of each recording.")] = None,
    require_bona_fide: Annotated[
        bool, typer.Option("--require-bona-fide", help="Exit code 3 unless every verdict is bona fide.")
    ] = False,
) -> None:
    """Score recordings: verdict, probability, log-likelihood ratio for bona fide, duration, warnings.

    A file that cannot be scored is reported, the others are still scored, and the exit code is 1.
    """
    paths = _found(files)
    prior, abstain_error_rate = stated_rates(params, prior, abstain_error_rate)
    with warnings_as_notes(), ExitStack() as stack:
        with _without(*_UNUSED_BY_KERAS):
            import keras  # noqa: F401 - before everything that imports it
        from model.detector import Detector

        detector = Detector.load(model, prior, abstain_error_rate, checks=checks)
        sources = list(_sources(files, paths))
        writers: list[ScoreWriter] = [open_writer(Format.json if as_json else output, detector.terms, stack)]
        writers += [CsvWriter.to(csv, stack)] if csv else []
        writers += [open_writer(Format.jsonl, detector.terms, stack, jsonl)] if jsonl else []
        if explain is not None:
            from model.report.explanation import PictureWriter

            writers.append(PictureWriter(detector, sources, explain))
        not_scored, not_bona_fide = _write(detector.score_files(sources), len(sources), writers)
    if not_scored:
        raise typer.Exit(NOT_SCORED)
    if require_bona_fide and not_bona_fide:
        raise typer.Exit(NOT_BONA_FIDE)


@contextmanager
def _without(*packages: str) -> Iterator[None]:
    """Lets packages that are not loaded yet look as if they were not installed."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is what the import system takes for absent
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _found(arguments: Sequence[str]) -> "list[CorpusPath]":
    """The files that the arguments name; says at once which are missing, and ends if all are."""
    from model.scoring.files import find_files
    from pipeline.cli.console import console, warn

    found = find_files([name for name in arguments if name != STANDARD_INPUT])
    if left_out := found.left_out():
        console.print(left_out, soft_wrap=True)
    missing = found.missing()
    for path in missing:
        warn(f"{path}: no such file")
    if missing and len(missing) == len(found.paths) and STANDARD_INPUT not in arguments:
        # Without the seconds that TensorFlow takes to start.
        raise typer.Exit(NOT_SCORED)
    return found.paths


def _sources(arguments: Iterable[str], paths: "Iterable[CorpusPath]") -> "Iterator[Source]":
    from model.scoring.sources import Source

    if STANDARD_INPUT in arguments:
        yield Source(STANDARD_INPUT, sys.stdin.buffer.read())
    for path in paths:
        yield Source(str(path), path)


def _write(scored: "Iterable[FileScore]", count: int, writers: "list[ScoreWriter]") -> tuple[int, int]:
    """Writes records as they come, with a bar on a terminal; gives how many have no score and how many are not bona fide."""
    from pipeline.cli.console import console, progress_bar

    # Lines on a terminal show the progress themselves, and would break the bar.
    with ExitStack() as stack:
        bar = None
        if console.is_terminal and not sys.stdout.isatty():
            bar = stack.enter_context(progress_bar("files/s", redirect_stdout=False))
            task = bar.add_task("score", total=count, note="")
        not_scored = not_bona_fide = 0
        for record in scored:
            not_scored += record.problem is not None
            not_bona_fide += record.verdict != "bona fide"
            for writer in writers:
                writer.write(record)
            if bar is not None:
                bar.advance(task)
    return not_scored, not_bona_fide
