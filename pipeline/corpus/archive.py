"""ZIP archives of public corpora: which there are, their digests, and how to unpack them.

An archive is checked as a whole before its first file is written. Nothing is ever written outside the target, and the
corpus appears under its name only when every file of it has passed its checksum.
"""

import hashlib
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.corpus.disk import disk_errors, require_space
from pipeline.errors import DownloadError

_BLOCK: Final = 1 << 20
_MAX_ENTRIES: Final = 1_000_000

ByteProgress = Callable[[int, int | None], None]
"""Called with the bytes done so far and in all; the latter is None where the size is unknown."""


@dataclass(frozen=True)
class CorpusArchive:
    """A public corpus in one ZIP archive.

    Attributes:
        url: Where the archive is.
        page: Where a person finds it.
        archive: File name of the archive.
        folder: Folder of the corpus in the archive and on disk.
        max_archive_bytes: Upper bound of the size of the archive; a longer transfer is not the corpus.
        max_bytes: Upper bound of its size, unpacked; a larger archive is not the corpus.
        md5: Published digest of the archive, hexadecimal.
    """

    url: str
    page: str
    archive: str
    folder: str
    max_archive_bytes: int
    max_bytes: int
    md5: str


# The archive has 7,640,952,520 bytes. Its publisher gives an MD5, on https://zenodo.org/records/6906306 and in the README of the
# page below, and no stronger digest. The value is that which public projects quote from there (seen in November 2026 in several
# of them); the page itself was not read.
CORPORA: Final[Mapping[str, CorpusArchive]] = {
    "asvspoof2019-la": CorpusArchive(
        url="https://datashare.ed.ac.uk/bitstream/handle/10283/3336/LA.zip?sequence=3&isAllowed=y",
        page="https://datashare.ed.ac.uk/handle/10283/3336",
        archive="LA.zip",
        folder="LA",
        max_archive_bytes=8 << 30,
        max_bytes=32 << 30,
        md5="30c98f11d8b2bc21f2c257bfd78bb5c5",
    )
}


def unpack(
    archive: Path,
    parent: Path,
    folder: str,
    max_bytes: int,
    on_progress: ByteProgress = lambda done, total: None,
) -> Path:
    """Unpacks one folder of a ZIP archive to `parent`/`folder`; everything else in the archive is left out.

    All names, types and sizes are checked before anything is written, and each file's CRC while it is written. The folder
    is renamed to its final name at the end.

    Args:
        archive: The ZIP file.
        parent: Where the folder goes; `parent`/`folder` must not exist yet.
        folder: Name of the folder at the top of the archive.
        max_bytes: An archive that states more unpacked bytes is refused.
        on_progress: Called with the unpacked bytes written so far and in all.

    Returns:
        The path of the folder.

    Raises:
        DownloadError: The archive is damaged, unsafe or too large, or the disk is full.
    """
    target = parent / folder
    staging = parent / f".{folder}.unpacking"
    redo = f"remove {archive} and run the command again"
    try:
        with disk_errors(staging), zipfile.ZipFile(archive) as source:
            entries = _checked_entries(source, archive, folder, max_bytes)
            total = sum(entry.file_size for entry in entries)
            require_space(parent, total, f"unpacking {archive.name}")
            if staging.exists():
                shutil.rmtree(staging)
            staging.mkdir()
            done = 0
            on_progress(done, total)
            for entry in entries:
                path = staging / entry.filename
                if entry.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with source.open(entry) as packed, path.open("xb") as file:
                    shutil.copyfileobj(packed, file, _BLOCK)
                done += entry.file_size
                on_progress(done, total)
            (staging / folder).rename(target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DownloadError(f"{archive}: damaged or not a ZIP archive ({error}); {redo}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def check_digest(path: Path, algorithm: str, expected: str) -> None:
    """Compares a file with a digest ("sha256" or "md5", hexadecimal).

    Raises:
        DownloadError: They differ.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != expected.lower():
        raise DownloadError(
            f"{path}: its {algorithm} is {digest.hexdigest()}, expected {expected}; check the digest, or fetch the file again"
        )


def _checked_entries(source: zipfile.ZipFile, archive: Path, folder: str, max_bytes: int) -> list[zipfile.ZipInfo]:
    """The entries of one folder, after a check of all entries; raises as `unpack` does."""
    entries = source.infolist()
    if len(entries) > _MAX_ENTRIES:
        raise DownloadError(f"{archive}: {len(entries):,} entries are too many for this corpus; do not trust it")
    total = sum(entry.file_size for entry in entries)
    if total > max_bytes:
        raise DownloadError(
            f"{archive}: would unpack to {total / 1e9:.1f} GB, more than this corpus can have ({max_bytes / 1e9:.1f} GB); "
            "do not trust it"
        )
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        problem = _problem(entry)
        if problem is None and name.rstrip("/") in seen:
            problem = "is there twice"
        if problem is not None:
            raise DownloadError(f"{archive}: entry {name!r} {problem}; nothing was unpacked, do not trust this archive")
        seen.add(name.rstrip("/"))
    wanted = [entry for entry in entries if entry.filename.startswith(f"{folder}/")]
    if not wanted:
        raise DownloadError(f"{archive}: holds no folder {folder}; is it the right archive?")
    return wanted


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """Why an entry must not be unpacked; None if it may be."""
    name = entry.filename
    parts = name.rstrip("/").split("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if name.startswith("/") or "\\" in name or re.match(r"[A-Za-z]:", name):
        return "has an absolute or foreign path"
    if any(part in ("", ".", "..") for part in parts):
        return "leaves its folder"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if entry.flag_bits & 1:
        return "is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed by method {entry.compress_type}, not stored or deflated"
    return None
