import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.files import atomic_path, atomic_write, replaced_folder, temporary_folder, write_json


def test_text_and_bytes_are_written_to_folders_that_are_made(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a" / "b" / "text.txt", "größer\n")
    atomic_write(tmp_path / "a" / "bytes.bin", b"\x00\xff")
    assert (tmp_path / "a" / "b" / "text.txt").read_bytes() == "größer\n".encode()
    assert (tmp_path / "a" / "bytes.bin").read_bytes() == b"\x00\xff"


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    atomic_write(target, "old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half of the ne")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_old_content_is_there_until_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    atomic_write(target, "old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert temporary.parent == target.parent
        assert temporary.suffix == target.suffix
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_with_two_names_is_replaced_not_written_through(tmp_path: Path) -> None:
    cached, linked = tmp_path / "cache", tmp_path / "workspace"
    cached.write_text("old")
    cached.chmod(0o444)
    linked.hardlink_to(cached)
    atomic_write(linked, "new")
    assert cached.read_text() == "old"
    assert linked.read_text() == "new"


def test_files_get_the_rights_that_the_user_s_mask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_json_is_sorted_indented_and_ends_with_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": 1, "a": {"d": 0.5, "c": None}})
    text = (tmp_path / "x.json").read_text()
    assert text == '{\n  "a": {\n    "c": null,\n    "d": 0.5\n  },\n  "b": 1\n}\n'
    assert json.loads(text) == {"a": {"c": None, "d": 0.5}, "b": 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_numbers_that_json_does_not_know(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": value})
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.files import atomic_path, replaced_folder, temporary_folder
with temporary_folder() as temporary, atomic_path(Path("file.txt")) as path, replaced_folder(Path("folder"), ["a"]) as new:
    (temporary / "x").write_text("half")
    path.write_text("half")
    (new / "a").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_process_removes_what_a_killed_one_left_and_nothing_that_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path / "tmp")}
    atomic_write(tmp_path / "file.txt", "old")
    atomic_write(tmp_path / "folder" / "a", "old")
    subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=environment, check=False)
    assert (tmp_path / "file.txt").read_text() == (tmp_path / "folder" / "a").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 5
    assert len(list((tmp_path / "tmp").iterdir())) == 1

    with temporary_folder() as first, temporary_folder() as second:
        assert {first, second} == set((tmp_path / "tmp").iterdir())
    with atomic_path(tmp_path / "file.txt") as first, atomic_path(tmp_path / "file.txt") as second:
        assert first.exists()
        assert second.exists()
    with replaced_folder(tmp_path / "folder", ["a"]) as new:
        assert list(new.iterdir()) == []
        (new / "a").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "folder", "tmp"]
    assert (tmp_path / "folder" / "a").read_text() == "new"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_folder_keeps_its_content_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    atomic_write(target / "a", "old")

    def fail() -> None:
        with replaced_folder(target, ["a", "b"]) as new:
            (new / "b").write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert [path.name for path in target.iterdir()] == ["a"]
    with replaced_folder(target, ["a", "b"]) as new:
        (new / "b").write_text("new")
        assert (target / "a").read_text() == "old"
        with (
            pytest.raises(BlockingIOError, match="another process is writing it"),
            replaced_folder(target, ["a", "b"]),
        ):
            pass
    assert [path.name for path in target.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    atomic_write(tmp_path / "folder" / "thesis.tex", "work of years")
    for target, message in ((tmp_path / "folder", "such as thesis.tex"), (tmp_path / "folder/thesis.tex", "is a file")):
        with pytest.raises(FileExistsError, match=message), replaced_folder(target, ["a"]):
            pass
    assert (tmp_path / "folder" / "thesis.tex").read_text() == "work of years"
