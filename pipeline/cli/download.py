"""The command `bonafide download`: fetches a public corpus, unpacks it and says how to use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.corpus.archive import ByteProgress


class CorpusName(str, Enum):
    """The keys of `pipeline.corpus.archive.CORPORA`, for the command line."""

    ASVSPOOF2019_LA = "asvspoof2019-la"


def download(
    corpus: Annotated[CorpusName, typer.Argument(help="Which corpus.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the archive and the corpus.")] = Path("data/raw"),
    url: Annotated[str | None, typer.Option("--url", help="Another address of the same archive.")] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="Expected digest of the archive, in place of the published MD5.")
    ] = None,
    keep_zip: Annotated[bool, typer.Option("--keep-zip", help="Keep the archive after unpacking.")] = False,
) -> None:
    """Fetch a public corpus: resume, verify, unpack. ASVspoof 2019 LA is 7.6 GB, and as much again unpacked.

    An archive that is in the folder already is unpacked without the network.
    """
    from pipeline.cli.console import console, size
    from pipeline.corpus.archive import CORPORA, check_digest, unpack
    from pipeline.corpus.download import fetch

    source = CORPORA[corpus.value]
    folder, archive = to / source.folder, to / source.archive
    # Who names a digest may mean another archive, such as a part of the corpus.
    digests = {"md5": source.md5} if sha256 is None else {"sha256": sha256}
    if folder.exists():
        console.print(f"{folder} is there already; remove it to fetch it anew", soft_wrap=True)
        if archive.exists() and not keep_zip:
            # Kept by --keep-zip, or by a run that was killed after it had unpacked.
            console.print(f"{archive} is not needed any more", soft_wrap=True)
    else:
        if not archive.exists():
            with _bar(f"Fetching {source.archive}") as report:
                fetch(url or source.url, archive, source.max_archive_bytes, digests, report)
        else:
            for algorithm, digest in digests.items():
                check_digest(archive, algorithm, digest)
        with _bar("Unpacking") as report:
            unpack(archive, to, source.folder, source.max_bytes, report)
        if keep_zip:
            console.print(f"{archive}: {size(archive.stat().st_size)} kept", soft_wrap=True)
        else:
            archive.unlink()
    hint = f"To use it, set in params.yaml\n\n  data:\n    root: {folder}\n\nand run dvc repro"
    console.print(hint, soft_wrap=True)


@contextmanager
def _bar(description: str) -> "Iterator[ByteProgress]":
    """A bar of bytes with the rate and the time left."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from pipeline.cli.console import console

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        task = progress.add_task(description, total=None)

        def report(done: int, total: int | None) -> None:
            # A restart from zero would otherwise count as a negative rate.
            if done < progress.tasks[task].completed:
                progress.reset(task)
            progress.update(task, completed=done, total=total)

        yield report
