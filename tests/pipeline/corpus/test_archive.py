"""Unpacking: the corpus is there whole or not at all, and nothing is written outside it."""

import io
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from pipeline.corpus.archive import unpack
from pipeline.errors import DownloadError
from tests.support.corpus_zip import ARCHIVE, PROTOCOL, archive_at, noise, tree, zip_of

LIMIT = 1 << 30


def test_unpacking_needs_room_and_keeps_the_archive_without_it(tmp_path: Path) -> None:
    archive = archive_at(tmp_path, ARCHIVE)
    usage = shutil.disk_usage("/")._replace(free=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(DownloadError, match=r"unpacking LA\.zip needs"):
            unpack(archive, tmp_path, "LA", LIMIT)
    assert archive.read_bytes() == ARCHIVE


def test_unpacking_gives_the_archive_s_files(tmp_path: Path) -> None:
    content = {PROTOCOL: b"line\n", "LA/ASVspoof2019_LA_train/flac/a.flac": noise(100), "LA/empty/": b""}
    told: list[tuple[int, int | None]] = []
    folder = unpack(
        archive_at(tmp_path, zip_of(content)), tmp_path, "LA", LIMIT, lambda done, total: told.append((done, total))
    )
    assert folder == tmp_path / "LA"
    assert tree(tmp_path) == ["LA.zip", *sorted(name for name in content if not name.endswith("/"))]
    assert (tmp_path / PROTOCOL).read_bytes() == b"line\n"
    assert (folder / "empty").is_dir()
    assert told[-1] == (105, 105)


def test_what_lies_beside_the_corpus_is_left_out(tmp_path: Path) -> None:
    unpack(archive_at(tmp_path, zip_of({PROTOCOL: b"x", "__MACOSX/a": b"y", "LICENSE": b"z"})), tmp_path, "LA", LIMIT)
    assert tree(tmp_path) == ["LA.zip", PROTOCOL]


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "LA/../../evil.txt",
        "LA/..",
        "/tmp/evil.txt",
        "//host/evil.txt",
        "C:/evil.txt",
        "C:evil.txt",
        "LA\\..\\..\\evil.txt",
        "LA//evil.txt",
        "LA/./evil.txt",
    ],
)
def test_a_path_out_of_the_target_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = archive_at(inner, zip_of({PROTOCOL: b"x", name: b"evil"}))
    with pytest.raises(DownloadError, match=r"entry '.*' .*nothing was unpacked"):
        unpack(archive, inner, "LA", LIMIT)
    assert tree(tmp_path) == ["inner/LA.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("LA/link")
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(entry, "/etc")
        file.writestr("LA/link/passwd", b"evil")
    with pytest.raises(DownloadError, match="is a link or a device"):
        unpack(archive_at(tmp_path, buffer.getvalue()), tmp_path, "LA", LIMIT)
    assert tree(tmp_path) == ["LA.zip"]


def test_a_zip_bomb_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    archive = archive_at(tmp_path, zip_of({PROTOCOL: bytes(50 << 20)}))
    assert archive.stat().st_size < 1 << 20
    with pytest.raises(DownloadError, match=r"more than this corpus can have \(0\.0 GB\)"):
        unpack(archive, tmp_path, "LA", 10 << 20)
    assert tree(tmp_path) == ["LA.zip"]


def test_an_entry_that_lies_about_its_size_writes_no_more_than_it_says(tmp_path: Path) -> None:
    content = bytearray(zip_of({PROTOCOL: bytes(50 << 20)}))
    for signature, position in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + position, 100)
    with pytest.raises(DownloadError, match="damaged"):
        unpack(archive_at(tmp_path, bytes(content)), tmp_path, "LA", LIMIT)
    assert tree(tmp_path) == ["LA.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(PROTOCOL, b"one")
        file.writestr(PROTOCOL, b"two")
    with pytest.raises(DownloadError, match="is there twice"):
        unpack(archive_at(tmp_path, buffer.getvalue()), tmp_path, "LA", LIMIT)


def test_an_encrypted_or_oddly_compressed_entry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="not stored or deflated"):
        unpack(archive_at(tmp_path, zip_of({PROTOCOL: b"x"}, zipfile.ZIP_LZMA)), tmp_path, "LA", LIMIT)
    content = bytearray(zip_of({PROTOCOL: b"x"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DownloadError, match="is encrypted"):
        unpack(archive_at(tmp_path, bytes(content)), tmp_path, "LA", LIMIT)


def test_a_flipped_bit_fails_the_checksum_and_leaves_no_corpus(tmp_path: Path) -> None:
    content = bytearray(zip_of({PROTOCOL: b"line\n", "LA/a.flac": noise(1000)}, zipfile.ZIP_STORED))
    content[content.index(noise(1000)) + 500] ^= 1
    with pytest.raises(DownloadError, match=r"Bad CRC-32 for file 'LA/a.flac'.*remove .*LA.zip"):
        unpack(archive_at(tmp_path, bytes(content)), tmp_path, "LA", LIMIT)
    assert tree(tmp_path) == ["LA.zip"]


@pytest.mark.parametrize("content", [b"", b"PK", ARCHIVE[:-1000], ARCHIVE[:2_000_000]])
def test_a_truncated_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DownloadError, match="damaged or not a ZIP archive"):
        unpack(archive_at(tmp_path, content), tmp_path, "LA", LIMIT)
    assert tree(tmp_path) == ["LA.zip"]


def test_another_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="holds no folder LA"):
        unpack(archive_at(tmp_path, zip_of({"PA/x": b"y"})), tmp_path, "LA", LIMIT)


def test_what_a_killed_unpacking_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".LA.unpacking" / "LA").mkdir(parents=True)
    (tmp_path / ".LA.unpacking" / "LA" / "half.flac").write_bytes(b"half")
    unpack(archive_at(tmp_path, zip_of({PROTOCOL: b"x"})), tmp_path, "LA", LIMIT)
    assert tree(tmp_path) == ["LA.zip", PROTOCOL]
