import contextlib
import hashlib
import http.server
import re
import resource
import shutil
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.download import CorpusName
from pipeline.corpus.archive import CORPORA, check_digest
from pipeline.corpus.disk import require_space
from pipeline.corpus.download import fetch as fetch_archive
from pipeline.errors import DownloadError
from tests.support.corpus_zip import ARCHIVE, PROTOCOL, archive_at, noise, tree, zip_of

DIGEST = hashlib.sha256(ARCHIVE).hexdigest()
fetch = partial(fetch_archive, max_bytes=1 << 30)


@dataclass
class Server:
    """A web server in this process, and what it is told to do wrong."""

    content: bytes = ARCHIVE
    etag: str | None = '"one"'
    last_modified: str | None = None
    status: int = 200
    location: str = ""
    ranges: bool = True
    honours_if_range: bool = True
    cut_after: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    with_length: bool = True
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = dict(self.headers.items())
            state.asked.append(asked)
            if state.status in (301, 302, 303, 307, 308):
                self.send_response(state.status)
                self.send_header("Location", state.location)
                self.end_headers()
                return
            if state.status != 200:
                self.send_error(state.status)
                return
            body, start = state.content, 0
            match = re.fullmatch(r"bytes=(\d+)-", asked.get("Range", ""))
            current = asked.get("If-Range") in (None, state.etag, state.last_modified) or not state.honours_if_range
            if match and state.ranges and current:
                start = int(match[1])
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            for name, value in (("ETag", state.etag), ("Last-Modified", state.last_modified), *state.headers.items()):
                if value is not None:
                    self.send_header(name, value)
            if state.with_length and "Content-Length" not in state.headers:
                self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            part = body[start:]
            if state.cut_after:
                part = part[: state.cut_after.pop(0)]
            state.sent += len(part)
            with contextlib.suppress(ConnectionError):
                self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_port}/LA.zip?sequence=3"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "LA.zip"


def interrupted(server: Server, target: Path, after: int) -> None:
    server.cut_after = [after]
    with pytest.raises(DownloadError, match=r"run the command again to go on"):
        fetch(server.url, target, retry_waits_s=())
    server.asked.clear()
    server.sent = 0


def test_a_download_has_the_server_s_bytes_and_leaves_nothing_beside_them(server: Server, target: Path) -> None:
    told: list[tuple[int, int | None]] = []
    fetch(server.url, target, on_progress=lambda done, total: told.append((done, total)))
    assert target.read_bytes() == ARCHIVE
    assert [path.name for path in target.parent.iterdir()] == ["LA.zip"]
    assert told[0] == (0, len(ARCHIVE))
    assert told[-1] == (len(ARCHIVE), len(ARCHIVE))


def test_a_broken_transfer_goes_on_where_it_was(server: Server, target: Path) -> None:
    server.cut_after = [1_000_000, 500_000, 0]
    fetch(server.url, target, retry_waits_s=(0, 0))
    assert target.read_bytes() == ARCHIVE
    assert [request.get("Range") for request in server.asked] == [
        None,
        "bytes=1000000-",
        "bytes=1500000-",
        "bytes=1500000-",
    ]
    assert server.sent == len(ARCHIVE)


def test_the_next_run_goes_on_with_the_part_of_the_last(server: Server, target: Path) -> None:
    interrupted(server, target, after=1_234_567)
    assert not target.exists()
    fetch(server.url, target)
    assert target.read_bytes() == ARCHIVE
    assert server.asked[0]["Range"] == "bytes=1234567-"
    assert server.asked[0]["If-Range"] == '"one"'
    assert server.sent == len(ARCHIVE) - 1_234_567


def test_a_part_that_is_whole_needs_no_request(server: Server, target: Path) -> None:
    interrupted(server, target, after=1_234_567)
    target.with_name("LA.zip.partial").write_bytes(ARCHIVE)
    fetch(server.url, target)
    assert target.read_bytes() == ARCHIVE
    assert server.asked == []


def test_without_an_etag_the_date_says_whether_the_file_is_the_same(server: Server, target: Path) -> None:
    server.etag, server.last_modified = 'W/"weak"', "Wed, 05 Jun 2019 10:00:00 GMT"
    interrupted(server, target, after=1_000_000)
    fetch(server.url, target)
    assert target.read_bytes() == ARCHIVE
    assert server.asked[0]["If-Range"] == server.last_modified


@pytest.mark.parametrize("honours_if_range", [True, False])
def test_a_file_that_changed_in_between_is_fetched_anew(server: Server, target: Path, honours_if_range: bool) -> None:
    interrupted(server, target, after=1_000_000)
    server.content = zip_of({PROTOCOL: noise(len(ARCHIVE), seed=1)})
    server.etag, server.honours_if_range = '"two"', honours_if_range
    fetch(server.url, target)
    assert target.read_bytes() == server.content


def test_a_file_that_became_shorter_is_fetched_anew(server: Server, target: Path) -> None:
    interrupted(server, target, after=2_000_000)
    server.content, server.honours_if_range, server.etag = zip_of({PROTOCOL: b"short"}), False, '"two"'
    fetch(server.url, target)
    assert target.read_bytes() == server.content


def test_a_server_without_ranges_sends_the_file_from_the_beginning(server: Server, target: Path) -> None:
    server.ranges = False
    interrupted(server, target, after=1_000_000)
    fetch(server.url, target)
    assert target.read_bytes() == ARCHIVE


def test_a_part_of_unknown_version_is_not_used(server: Server, target: Path) -> None:
    server.etag = None
    interrupted(server, target, after=1_000_000)
    fetch(server.url, target)
    assert target.read_bytes() == ARCHIVE
    assert "Range" not in server.asked[0]


def test_a_part_from_another_address_is_not_used(server: Server, target: Path) -> None:
    interrupted(server, target, after=1_000_000)
    fetch(server.url.replace("sequence=3", "sequence=4"), target)
    assert target.read_bytes() == ARCHIVE
    assert "Range" not in server.asked[0]


def test_a_server_that_keeps_breaking_off_at_one_place_is_given_up(server: Server, target: Path) -> None:
    server.ranges = False
    server.cut_after = [1_000_000] * 20
    with pytest.raises(DownloadError, match=r"ended after 1,000,000 of [\d,]+ bytes; 1,000,000 bytes are kept"):
        fetch(server.url, target, retry_waits_s=(0, 0, 0))
    assert len(server.asked) == 4


def test_a_file_of_unannounced_size_is_taken_as_it_comes(server: Server, target: Path) -> None:
    server.with_length = False
    fetch(server.url, target)
    assert target.read_bytes() == ARCHIVE


def test_two_downloads_of_one_file_do_not_mix(server: Server, target: Path) -> None:
    def second(done: int, total: int | None) -> None:
        if done:
            fetch(server.url, target)

    with pytest.raises(DownloadError, match="another download of this file is under way"):
        fetch(server.url, target, on_progress=second)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_tells_the_status_and_the_way_out(server: Server, target: Path, status: int) -> None:
    server.status = status
    with pytest.raises(DownloadError, match=rf"answers {status} .*--url"):
        fetch(server.url, target)
    assert len(server.asked) == 1


def test_an_overloaded_server_tells_its_status(server: Server, target: Path) -> None:
    server.status = 503
    with pytest.raises(DownloadError, match="answers 503"):
        fetch(server.url, target)


def test_an_unreachable_server_is_told_at_once(target: Path) -> None:
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"no connection .*HTTPS_PROXY"):
        fetch("http://127.0.0.1:9/LA.zip", target)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("url", ["LA.zip", "ftp://example.org/LA.zip", "/etc/passwd", "data:,PK"])
def test_only_web_addresses_are_fetched(target: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="not an http or https address"):
        fetch(url, target)


def test_a_page_instead_of_an_archive_is_refused_and_not_kept(server: Server, target: Path) -> None:
    server.content, server.headers = b"<html>Please log in</html>", {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(DownloadError, match="text/html, not a ZIP archive"):
        fetch(server.url, target)
    server.content = ARCHIVE
    fetch(server.url, target)
    assert target.read_bytes() == ARCHIVE


def announced(algorithm: str, content: bytes) -> dict[str, str]:
    digest = b64encode(hashlib.new(algorithm, content).digest()).decode()
    return {
        "md5": {"Content-MD5": digest},
        "sha256": {"Repr-Digest": f"sha-512=:AAAA:, sha-256=:{digest}:"},
    }[algorithm]


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_digest_that_the_server_announces_is_checked(server: Server, target: Path, algorithm: str) -> None:
    server.headers = announced(algorithm, ARCHIVE)
    fetch(server.url, target)
    target.unlink()
    server.headers = announced(algorithm, b"something else")
    with pytest.raises(DownloadError, match=f"its {algorithm} is .*, expected"):
        fetch(server.url, target)
    assert not target.exists()


def test_a_wrong_sha256_is_refused_and_the_bytes_are_not_used_again(server: Server, target: Path) -> None:
    with pytest.raises(DownloadError, match="its sha256 is"):
        fetch(server.url, target, digests={"sha256": "0" * 64})
    assert not target.exists()
    fetch(server.url, target, digests={"sha256": DIGEST.upper()})
    check_digest(target, "sha256", hashlib.sha256(ARCHIVE).hexdigest())
    assert len(server.asked) == 2


def test_a_full_disk_is_told_before_the_transfer(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=len(ARCHIVE))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match=r"needs .* GB are free; make room .*--to"):
        fetch(server.url, target)
    assert not target.exists()
    require_space(target.parent, len(ARCHIVE), "this")


def test_a_write_that_fails_names_the_file_and_keeps_what_was_fetched(server: Server, target: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, hard))
    try:
        with pytest.raises(DownloadError, match=r"LA\.zip\.partial: File too large; choose another folder"):
            fetch(server.url, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    server.sent = 0
    fetch(server.url, target)
    assert target.read_bytes() == ARCHIVE
    assert server.sent == len(ARCHIVE) - (2 << 20)


@pytest.mark.parametrize("length", ["ten", "-5", "1e9", "0x10", "12 34", "9" * 40])
def test_a_length_that_is_no_number_is_refused(server: Server, target: Path, length: str) -> None:
    server.headers["Content-Length"] = length
    with pytest.raises(DownloadError, match="Content-Length that is no number of bytes"):
        fetch(server.url, target, retry_waits_s=(0,))
    assert not target.exists()


@pytest.mark.parametrize("with_length", [True, False])
def test_a_longer_file_than_the_archive_can_be_is_refused_and_not_kept(
    server: Server, target: Path, with_length: bool
) -> None:
    server.with_length = with_length
    with pytest.raises(DownloadError, match=r"the file has [\d,]+ bytes or more, this archive 1,000,000 at most"):
        fetch(server.url, target, max_bytes=1_000_000)
    assert not target.exists()
    assert target.with_name("LA.zip.partial").stat().st_size == 0
    assert not with_length or server.sent <= len(ARCHIVE)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("scheme", "rest"),
    [("file", "///LA.zip"), ("ftp", "//127.0.0.1/LA.zip"), ("data", ",PK"), ("gopher", "//x/LA.zip")],
)
def test_a_redirect_to_anything_but_the_web_is_refused(
    server: Server, target: Path, status: int, scheme: str, rest: str
) -> None:
    server.status, server.location = status, f"{scheme}:{rest}"
    with pytest.raises(DownloadError, match=r"redirects to .* not an http or https address"):
        fetch(server.url, target)
    assert not target.exists()


# The command


def test_an_archive_with_another_digest_than_the_published_one_is_refused(
    server: Server, tmp_path: Path, run_bonafide: Any
) -> None:
    code, output = run_bonafide("download", "asvspoof2019-la", "--url", server.url, "--to", tmp_path)
    assert code == 1
    assert f"expected {CORPORA['asvspoof2019-la'].md5}" in " ".join(output.split())
    assert not (tmp_path / "LA").exists()


def test_the_command_fetches_unpacks_and_says_what_to_set(server: Server, tmp_path: Path, run_bonafide: Any) -> None:
    code, output = run_bonafide(
        "download", "asvspoof2019-la", "--url", server.url, "--to", tmp_path, "--sha256", DIGEST
    )
    assert code == 0, output
    assert f"root: {tmp_path / 'LA'}\n" in output
    assert tree(tmp_path) == sorted([PROTOCOL, "LA/ASVspoof2019_LA_train/flac/LA_T_1.flac"])


def test_a_corpus_that_is_there_is_not_fetched_again(server: Server, tmp_path: Path, run_bonafide: Any) -> None:
    (tmp_path / "LA").mkdir()
    code, output = run_bonafide(
        "download", "asvspoof2019-la", "--url", server.url, "--to", tmp_path, "--sha256", DIGEST
    )
    assert code == 0
    assert "is there already; remove it to fetch it anew" in output
    assert server.asked == []


def test_an_archive_that_is_there_needs_no_network(tmp_path: Path, run_bonafide: Any) -> None:
    archive_at(tmp_path, ARCHIVE)
    digest = hashlib.sha256(ARCHIVE).hexdigest()
    code, output = run_bonafide("download", "asvspoof2019-la", "--to", tmp_path, "--keep-zip", "--sha256", digest)
    assert code == 0, output
    assert (tmp_path / PROTOCOL).is_file()
    assert (tmp_path / "LA.zip").read_bytes() == ARCHIVE


def test_a_refused_download_ends_with_code_1_and_no_traceback(
    server: Server, tmp_path: Path, run_bonafide: Any
) -> None:
    server.status = 404
    code, output = run_bonafide(
        "download", "asvspoof2019-la", "--url", server.url, "--to", tmp_path, "--sha256", DIGEST
    )
    assert code == 1
    assert "error: " in output
    assert "answers 404" in output
    assert "Traceback" not in output


def test_an_unknown_corpus_is_refused_with_the_known_ones(run_bonafide: Any) -> None:
    code, output = run_bonafide("download", "asvspoof5")
    assert code == 2
    assert "asvspoof2019-la" in output


def test_every_corpus_of_the_command_is_known() -> None:
    assert {name.value for name in CorpusName} == set(CORPORA)
