"""Downloads of large archives over HTTP, which may take hours.

A broken transfer continues where it stopped, in the same run or in the next one, and never mixes two versions of a file.
"""

import base64
import binascii
import contextlib
import fcntl
import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO, Final

from typing_extensions import override

from pipeline.corpus.archive import ByteProgress, check_digest
from pipeline.corpus.disk import disk_errors, require_space
from pipeline.errors import DownloadError
from pipeline.files import write_json

_BLOCK: Final = 1 << 20
_TIMEOUT_S: Final = 60.0
_SCHEMES: Final = ("http", "https")
_DIGEST_NAMES: Final = {"sha-256": "sha256", "md5": "md5"}


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
    """The server has another version of the file than the one that the part belongs to."""


def fetch(
    url: str,
    target: Path,
    max_bytes: int,
    digests: Mapping[str, str] | None = None,
    on_progress: ByteProgress = lambda done, total: None,
    retry_waits_s: tuple[float, ...] = (1, 2, 4, 8, 16),
) -> None:
    """Downloads `url` to `target` and continues the part that an earlier run left in `target`.partial.

    The part is used only if the server says that the file is still the same (If-Range with its ETag or date). A broken
    transfer is tried again after each of `retry_waits_s`; an attempt that adds bytes resets the count of failures.

    Args:
        url: An http or https address; proxies come from the environment as usual.
        target: The file to write; must not exist yet.
        max_bytes: A longer file is refused, as soon as the server states its length or has sent more.
        digests: Expected digests in hexadecimal by algorithm ("sha256", "md5"). Those that the server announces are checked
            in any case.
        on_progress: Called with the bytes fetched so far and in all.
        retry_waits_s: Pauses before further attempts, in seconds.

    Raises:
        DownloadError: There is no connection, the server refuses, redirects to something else than http or https, states a
            length that is no number, or sends something else than a ZIP archive or more than `max_bytes`; a digest differs; or
            the disk is full.
    """
    if urllib.parse.urlsplit(url).scheme not in _SCHEMES:
        raise DownloadError(f"{url}: not an http or https address")
    part = target.with_name(target.name + ".partial")
    note = target.with_name(target.name + ".partial.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(part), part.open("ab") as file:
        _lock(file, part)
        announced = _transfer_with_retries(url, file, note, max_bytes, on_progress, retry_waits_s)
        file.flush()
        os.fsync(file.fileno())
        try:
            for algorithm, digest in {**announced, **(digests or {})}.items():
                check_digest(part, algorithm, digest)
        except DownloadError:
            # Another run could only fail on these bytes again.
            _empty(file)
            raise
        part.replace(target)
        note.unlink(missing_ok=True)


def _transfer_with_retries(
    url: str, file: BinaryIO, note: Path, max_bytes: int, on_progress: ByteProgress, retry_waits_s: tuple[float, ...]
) -> Mapping[str, str]:
    """Makes requests until the file is whole; returns the digests that the server announced."""
    started_at = file.tell()
    furthest, failures = started_at, 0
    while True:
        origin = _read_note(note, url)
        if origin is None or origin.validator is None or file.tell() > (origin.total or sys.maxsize):
            _empty(file)
            origin = Origin(url)
        try:
            return _transfer(url, file, note, max_bytes, origin, on_progress).digests
        except _StaleError:
            _empty(file)
        except _BrokenError as error:
            failures = failures + 1 if file.tell() <= furthest else 0
            furthest = max(furthest, file.tell())
            if furthest == started_at or failures >= len(retry_waits_s):
                kept = f"; {file.tell():,} bytes are kept, run the command again to go on" if file.tell() else ""
                raise DownloadError(f"{url}: {error}{kept}") from error
            time.sleep(retry_waits_s[failures])


def _transfer(url: str, file: BinaryIO, note: Path, max_bytes: int, known: Origin, on_progress: ByteProgress) -> Origin:
    """Makes one request and appends its content; returns once the file is whole."""
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
                # A first request, a server without ranges, or a file that has changed.
                _empty(file)
                start = 0
                origin = _origin(url, response.headers)
                write_json(note, asdict(origin))
            _require_length(url, origin.total, max_bytes)
            if origin.total is not None:
                # Compressed audio hardly shrinks: the unpacked files take about as much room again.
                require_space(note.parent, 2 * origin.total - start, "the archive and its unpacked files")
            _append(response, file, start, origin, max_bytes, on_progress)
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


class _WebRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https; urllib also knows ftp."""

    @override
    def http_error_302(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: http.client.HTTPMessage
    ) -> Any:
        place = headers.get("Location") or headers.get("URI") or ""
        target = urllib.parse.urljoin(req.full_url, place)
        if urllib.parse.urlsplit(target).scheme not in _SCHEMES:
            raise DownloadError(
                f"{req.full_url}: the server redirects to {target!r}, which is not an http or https address; do not trust it"
            )
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _open(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.build_opener(_WebRedirects).open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _BrokenError(f"no connection ({reason}); check the network and, behind a proxy, HTTPS_PROXY") from error


def _append(
    response: Any, file: BinaryIO, done: int, origin: Origin, max_bytes: int, on_progress: ByteProgress
) -> None:
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
        if done + len(block) > max_bytes:
            _empty(file)
            _require_length(origin.url, done + len(block), max_bytes)
        file.write(block)
        done += len(block)
        on_progress(done, origin.total)
    file.flush()
    if origin.total is not None and done != origin.total:
        if done > origin.total:
            _empty(file)
        raise _BrokenError(f"the transfer ended after {done:,} of {origin.total:,} bytes")


def _goes_on(headers: Message, start: int, known: Origin) -> bool:
    """Whether a partial answer continues the part on disk and belongs to the same version of the file."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
    if not start or match is None or int(match[1]) != start:
        return False
    if known.total is not None and match[2] not in ("*", str(known.total)):
        return False
    # A server that ignores If-Range still states the version.
    return _validator(headers) in (None, known.validator)


def _origin(url: str, headers: Message) -> Origin:
    length = headers.get("Content-Length")
    if length is not None and not re.fullmatch(r"[0-9]{1,18}", length):
        raise DownloadError(
            f"{url}: the server states a Content-Length that is no number of bytes, {length[:40]!r}; name another address with "
            "--url"
        )
    return Origin(url, _validator(headers), int(length) if length else None, _announced_digests(headers))


def _require_length(url: str, length: int | None, max_bytes: int) -> None:
    if length is not None and length > max_bytes:
        raise DownloadError(
            f"{url}: the file has {length:,} bytes or more, this archive {max_bytes:,} at most; name another address with --url"
        )


def _validator(headers: Message) -> str | None:
    # If-Range takes strong validators only; equal weak ETags (W/"…") do not mean equal bytes.
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
    """What is known of the part on disk; None if nothing is, or if it came from another address."""
    try:
        origin = Origin(**json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return origin if origin.url == url else None


def _empty(file: BinaryIO) -> None:
    file.truncate(0)
    file.seek(0)


def _lock(file: BinaryIO, part: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DownloadError(f"{part}: another download of this file is under way; wait for it or stop it") from None
    file.seek(0, os.SEEK_END)
