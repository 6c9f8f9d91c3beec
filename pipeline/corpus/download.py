"""Fetching a public corpus: an archive over HTTP that may take hours, and its unpacking.

A transfer that breaks goes on where it was, now or in the next run, and never mixes two versions of a file. An archive is
checked as a whole before its first file is written, nothing is ever written outside the target, and the corpus appears
under its name only when every file of it has passed its checksum.
"""

import base64
import binascii
import contextlib
import errno
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import stat
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO, Final

from pipeline.errors import DownloadError
from pipeline.files import write_json

_BLOCK: Final = 1 << 20
_TIMEOUT_S: Final = 60.0
_MAX_ENTRIES: Final = 1_000_000
_DIGEST_NAMES: Final = {"sha-256": "sha256", "md5": "md5"}

Report = Callable[[int, int | None], None]
"""Called with the bytes done so far and in all; the latter is None where the server does not tell."""


@dataclass(frozen=True)
class Corpus:
    """A public corpus in one ZIP archive.

    Attributes:
        url: Where the archive is.
        page: Where a person finds it.
        archive: Name of the archive.
        folder: The corpus's folder in the archive and on disk.
        max_bytes: More than this, unpacked, cannot be the corpus.
    """

    url: str
    page: str
    archive: str
    folder: str
    max_bytes: int


CORPORA: Final[Mapping[str, Corpus]] = {
    "asvspoof2019-la": Corpus(
        url="https://datashare.ed.ac.uk/bitstream/handle/10283/3336/LA.zip?sequence=3&isAllowed=y",
        page="https://datashare.ed.ac.uk/handle/10283/3336",
        archive="LA.zip",
        folder="LA",
        max_bytes=32 << 30,
    )
}


@dataclass(frozen=True)
class Origin:
    """What the server said about the file of which a part was fetched; kept beside the part.

    Attributes:
        url: Where it comes from.
        validator: A strong ETag or, without one, the Last-Modified date; None if the server gave neither.
        total: Size in bytes, None if unknown.
        digests: Hexadecimal digests by algorithm ("sha256", "md5") that the server announced.
    """

    url: str
    validator: str | None = None
    total: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


class _BrokenError(Exception):
    """The connection failed or ended early; another attempt may succeed."""


class _StaleError(Exception):
    """The part at hand does not belong to what the server has now."""


def fetch(
    url: str,
    target: Path,
    sha256: str | None = None,
    on_progress: Report = lambda done, total: None,
    retry_waits_s: tuple[float, ...] = (1, 2, 4, 8, 16),
) -> None:
    """Downloads `url` to `target`, going on with the part that an earlier run left in `target`.partial.

    The part is used only if the server says that the file is still the same (If-Range with its ETag or date). A transfer
    that breaks is taken up again after each of `retry_waits_s` seconds; the count begins anew when it gets further.

    Args:
        url: An http or https address; proxies come from the environment as usual.
        target: The file to write; must not exist yet.
        sha256: Expected digest in hexadecimal. A digest that the server announces is checked in any case.
        on_progress: Told how far it is.
        retry_waits_s: Pauses before further attempts, in seconds.

    Raises:
        DownloadError: No connection, refused, not a ZIP archive, other bytes than announced, or the disk is full.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{url}: not an http or https address")
    part = target.with_name(target.name + ".partial")
    note = target.with_name(target.name + ".partial.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _disk_errors(part), part.open("ab") as file:
        _lock(file, part)
        started_at = file.tell()
        furthest, failures = started_at, 0
        while True:
            origin = _read_note(note, url)
            if origin is None or origin.validator is None or file.tell() > (origin.total or sys.maxsize):
                _empty(file)
                origin = Origin(url)
            try:
                origin = _transfer(url, file, note, origin, on_progress)
                break
            except _StaleError:
                _empty(file)
            except _BrokenError as error:
                failures = failures + 1 if file.tell() <= furthest else 0
                furthest = max(furthest, file.tell())
                if furthest == started_at or failures >= len(retry_waits_s):
                    kept = f"; {file.tell():,} bytes are kept, run the command again to go on" if file.tell() else ""
                    raise DownloadError(f"{url}: {error}{kept}") from error
                time.sleep(retry_waits_s[failures])
        file.flush()
        os.fsync(file.fileno())
        try:
            for algorithm, digest in (dict(origin.digests) | ({"sha256": sha256} if sha256 else {})).items():
                check_digest(part, algorithm, digest)
        except DownloadError:
            # Going on from these bytes could only fail again.
            _empty(file)
            raise
        part.replace(target)
        note.unlink(missing_ok=True)


def unpack(
    archive: Path,
    parent: Path,
    folder: str,
    max_bytes: int,
    on_progress: Report = lambda done, total: None,
) -> Path:
    """Unpacks one folder of a ZIP archive to `parent`/`folder`; what lies beside it is left out.

    All names, types and sizes are checked before anything is written, each file's CRC while it is; the folder is
    renamed to its place at the end.

    Args:
        archive: The ZIP file.
        parent: Where the folder goes; `parent`/`folder` must not exist yet.
        folder: Name of the folder at the top of the archive.
        max_bytes: An archive that says it is larger than this is refused.
        on_progress: Told how many of all unpacked bytes are written.

    Returns:
        The path of the folder.

    Raises:
        DownloadError: The archive is damaged, unsafe or too large, or the disk is full.
    """
    target = parent / folder
    staging = parent / f".{folder}.unpacking"
    redo = f"remove {archive} and run the command again"
    try:
        with _disk_errors(staging), zipfile.ZipFile(archive) as source:
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


def require_space(folder: Path, n_bytes: int, purpose: str) -> None:
    """Makes sure that a file system has room.

    Raises:
        DownloadError: It has less than `n_bytes` free.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise DownloadError(
            f"{folder}: {purpose} needs {n_bytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; make room or choose "
            "another folder with --to"
        )


def _transfer(url: str, file: BinaryIO, note: Path, known: Origin, on_progress: Report) -> Origin:
    """Makes one request and appends what comes; returns once the file is whole."""
    start = file.tell()
    if start and start == known.total:
        return known
    request = urllib.request.Request(url, headers={"User-Agent": "bonafide"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", str(known.validator))
    try:
        with _open(request) as response:
            if response.status == 206:
                if not _goes_on(response.headers, start, known):
                    raise _StaleError
                origin = known
            else:
                # The beginning, or a server without ranges, or the file is another one now.
                _empty(file)
                start = 0
                origin = _origin(url, response.headers)
                write_json(note, asdict(origin))
            if origin.total is not None:
                # Audio hardly shrinks: unpacked, it takes about as much again.
                require_space(note.parent, 2 * origin.total - start, "the archive and its unpacked files")
            _append(response, file, start, origin, on_progress)
            return origin
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:
            raise _StaleError from error
        if error.code >= 500 or error.code == 429:
            raise _BrokenError(f"the server answers {error.code} {error.reason}") from error
        raise DownloadError(
            f"{url}: the server answers {error.code} {error.reason}; look for the current address on the corpus's page "
            "and name it with --url"
        ) from error


def _open(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _BrokenError(f"no connection ({reason}); check the network and, behind a proxy, HTTPS_PROXY") from error


def _append(response: Any, file: BinaryIO, done: int, origin: Origin, on_progress: Report) -> None:
    on_progress(done, origin.total)
    while True:
        try:
            block = response.read(_BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenError(f"the transfer broke off ({error})") from error
        if not block:
            break
        if done == 0 and not block.startswith(b"PK"):
            _empty(file)
            kind = response.headers.get_content_type()
            raise DownloadError(
                f"{origin.url}: the server sent {kind}, not a ZIP archive; open the address in a browser to see what it "
                "says, or name another one with --url"
            )
        file.write(block)
        done += len(block)
        on_progress(done, origin.total)
    file.flush()
    if origin.total is not None and done != origin.total:
        if done > origin.total:
            _empty(file)
        raise _BrokenError(f"the transfer ended after {done:,} of {origin.total:,} bytes")


def _goes_on(headers: Message, start: int, known: Origin) -> bool:
    """Whether a partial answer continues the part at hand, of the same file."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
    if not start or match is None or int(match[1]) != start:
        return False
    if known.total is not None and match[2] not in ("*", str(known.total)):
        return False
    # A server that ignores If-Range still tells which version this is.
    return _validator(headers) in (None, known.validator)


def _origin(url: str, headers: Message) -> Origin:
    length = headers.get("Content-Length")
    return Origin(url, _validator(headers), int(length) if length else None, _announced_digests(headers))


def _validator(headers: Message) -> str | None:
    # If-Range takes strong validators alone; a weak ETag (W/"…") says nothing about bytes.
    tag = headers.get("ETag")
    return tag if tag and tag.startswith('"') else headers.get("Last-Modified")


def _announced_digests(headers: Message) -> dict[str, str]:
    """Digests of the whole file from Repr-Digest (RFC 9530), Digest (RFC 3230) and Content-MD5 (RFC 1864)."""
    announced = {}
    found = [("md5", headers.get("Content-MD5", ""))]
    for value in (headers.get("Digest", ""), headers.get("Repr-Digest", "")):
        found += [(name.strip().lower(), text) for name, _, text in (item.partition("=") for item in value.split(","))]
    for name, text in found:
        with contextlib.suppress(binascii.Error, ValueError):
            digest = base64.b64decode(text.strip().strip(":"), validate=True).hex()
            if name in _DIGEST_NAMES and digest:
                announced[_DIGEST_NAMES[name]] = digest
    return announced


def _read_note(note: Path, url: str) -> Origin | None:
    """What is known of the part at hand; None if nothing is, or if it came from another address."""
    try:
        origin = Origin(**json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return origin if origin.url == url else None


def _checked_entries(source: zipfile.ZipFile, archive: Path, folder: str, max_bytes: int) -> list[zipfile.ZipInfo]:
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


def _empty(file: BinaryIO) -> None:
    file.truncate(0)
    file.seek(0)


def _lock(file: BinaryIO, part: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DownloadError(f"{part}: another download of this file is under way; wait for it or stop it") from None
    file.seek(0, os.SEEK_END)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text = "the disk is full; make room and run the command again, what was fetched is kept"
        else:
            text = f"{error.strerror or error}; choose another folder with --to"
        raise DownloadError(f"{path}: {text}") from error
