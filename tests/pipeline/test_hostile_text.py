"""Hostile parameter files and protocols end in an error that names the key or the line, soon and in little memory."""

import resource
import time
from pathlib import Path

import pytest

from pipeline.corpus.manifest import build_manifest, manifest_batches
from pipeline.corpus.protocol import read_corpus
from pipeline.errors import BonafideError, CorpusError, ParamsError, ProtocolError
from pipeline.parameter_file import read_params
from tests.support.hostile_text import parameter_attacks, protocol_attacks
from tests.support.parameters import ProjectParams
from tests.support.synthetic_corpus import protocol_lines, write_corpus, write_protocols

SOON_S = 1.0
LITTLE_KIB = 200 << 10


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize(
    ("content", "told"), [pytest.param(content, told, id=name) for name, content, told in parameter_attacks()]
)
def test_a_hostile_parameter_file_is_refused_soon_with_its_key(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    before, began = peak_kib(), time.process_time()
    with pytest.raises(ParamsError) as caught:
        read_params(tmp_path / "params.yaml", ProjectParams)
    assert time.process_time() - began < SOON_S
    assert peak_kib() - before < LITTLE_KIB
    assert told in str(caught.value)
    assert len(str(caught.value)) < 4000


def test_parameters_with_a_byte_order_mark_and_aliases_are_read(tmp_path: Path) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    text = text.replace("semitones: [-2.0, 2.0]", "semitones: &range [0.9, 1.1]").replace(
        "rate: [0.9, 1.1]", "rate: *range"
    )
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8-sig")
    augment = read_params(tmp_path / "params.yaml", ProjectParams).augment
    assert augment.time_stretch.rate == augment.pitch_shift.semitones == (0.9, 1.1)


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/kmsg", "."])
def test_a_parameter_file_is_a_regular_file(path: str) -> None:
    with pytest.raises(ParamsError, match=r"not a regular file|cannot be read|expected sections"):
        read_params(Path(path), ProjectParams)


def test_hostile_protocols_are_refused_soon_with_their_line(tmp_path: Path) -> None:
    problems, count = [], 0
    before = peak_kib()
    for name, told in protocol_attacks(tmp_path):
        count += 1
        began, message = time.process_time(), "accepted"
        root = tmp_path / "corpus.csv" if name.startswith(("table", "unclosed")) else tmp_path
        try:
            read_corpus(root)
        except (ProtocolError, CorpusError) as error:
            message = str(error)
        if told not in message or time.process_time() - began > SOON_S or len(message) > 4000:
            problems.append((name, message[:200]))
    assert problems == []
    assert count > 30
    assert peak_kib() - before < LITTLE_KIB


def test_an_id_that_leads_out_of_the_corpus_reads_nothing_there(tmp_path: Path) -> None:
    root = write_corpus(tmp_path / "LA", 3)
    (tmp_path / "outside.flac").write_bytes(b"secret")
    lines = [*protocol_lines("train", 3), "LA_0000 ../../../outside - - bonafide"]
    write_protocols(root, {"train": lines})
    with pytest.raises(BonafideError, match=r"trn\.txt:4: utterance '\.\./\.\./\.\./outside' is no file name"):
        build_manifest(root)


def test_links_follow_into_the_corpus_and_into_named_folders_only(tmp_path: Path) -> None:
    root = write_corpus(tmp_path / "LA", 3)
    (tmp_path / "linked").symlink_to(root)
    cache = tmp_path / "cache"
    cache.mkdir()
    clip = root / "ASVspoof2019_LA_train" / "flac" / "LA_T_0000000.flac"
    clip.rename(cache / "0a1b")
    clip.symlink_to(cache / "0a1b")

    def problem(path: Path, *link_targets: str) -> str | None:
        rows = [row for batch in manifest_batches(path, link_targets=link_targets) for row in batch.to_pylist()]
        return next(row["problem"] for row in rows if row["utterance_id"] == "LA_T_0000000")

    for path in (root, tmp_path / "linked"):
        assert "data.link_targets" in str(problem(path))
        assert problem(path, str(cache)) is None
    clip.unlink()
    (cache / "0a1b").rename(clip.parent / "kept.flac")
    clip.symlink_to("kept.flac")
    assert problem(root) is None


@pytest.mark.parametrize(("first", "second"), [("Anna_1", "anna_1"), ("caf\u00e9", "cafe\u0301")])
def test_ids_that_are_nearly_the_same_are_told_with_both_lines(tmp_path: Path, first: str, second: str) -> None:
    lines = [f"LA_0000 {first} - - bonafide", f"LA_0000 {second} - A01 spoof"]
    write_protocols(tmp_path, {"train": [*lines, *protocol_lines("train")]})
    told: list[str] = []
    read_corpus(tmp_path, on_warning=told.append)
    assert len(told) == 1
    assert f"trn.txt:2: {second} is nearly the same as {first} at " in told[0]
    assert "trn.txt:1" in told[0]
    told.clear()
    read_corpus(write_protocols(tmp_path), on_warning=told.append)
    assert told == []
