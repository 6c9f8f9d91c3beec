"""Corpora as they are published: each layout is recognised, and its clips, labels, attacks and other fields are read."""

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest

from pipeline.corpus.fields import RESERVED, unpack_fields
from pipeline.corpus.layouts import AUTO, LAYOUTS, layout_of
from pipeline.corpus.manifest import build_manifest, manifest_batches
from pipeline.corpus.params import LayoutName
from pipeline.corpus.protocol import read_corpus
from pipeline.corpus.schema import MANIFEST_SCHEMA
from pipeline.corpus.utterances import Utterance
from pipeline.errors import CorpusError, ProtocolError
from pipeline.store.schema import INDEX_SCHEMA
from tests.support.corpora import (
    CORPORA,
    N_CLIPS,
    asvspoof5,
    asvspoof2019_pa,
    asvspoof2021_df,
    asvspoof2021_la,
    class_folders,
    in_the_wild,
    table,
    write_clip,
    write_lines,
)
from tests.support.synthetic_corpus import write_corpus


def utterances_of(root: Path, **options: Any) -> dict[str, Utterance]:
    return {utterance.utterance_id: utterance for utterance in read_corpus(root, **options)}


def fields_of(utterance: Utterance) -> dict[str, str]:
    return dict(unpack_fields(utterance.fields))


# Recognised


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_as_it_is_published_is_recognised_and_all_its_audio_is_found(tmp_path: Path, name: str) -> None:
    root = CORPORA[name](tmp_path / "corpus")
    layout = layout_of(root)
    assert layout.name == name
    rows = build_manifest(root).to_pylist()
    assert [row["problem"] for row in rows] == [None] * len(rows)
    assert len(rows) in (N_CLIPS, 3 * N_CLIPS)
    assert {row["label"] for row in rows} == {0, 1}
    assert all((row["attack_id"] is None) == (row["label"] == 1) for row in rows)
    assert all(row["fields"] for row in rows) == (name != "in_the_wild")
    named = [row for batch in manifest_batches(root, layout=name) for row in batch.to_pylist()]
    assert named == rows


def test_asvspoof_2019_la_is_recognised_without_fields(tmp_path: Path) -> None:
    root = write_corpus(tmp_path, 3)
    assert layout_of(root).name == "asvspoof2019_la"
    assert {utterance.fields for utterance in read_corpus(root)} == {None}


def test_the_parameters_name_every_layout() -> None:
    assert set(get_args(LayoutName)) == {AUTO, *LAYOUTS}


def test_no_field_has_the_name_of_a_column() -> None:
    assert set(MANIFEST_SCHEMA.names) | set(INDEX_SCHEMA.names) == RESERVED


def test_a_folder_that_is_no_corpus_says_where_one_is(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no layout of a corpus is recognised there; data\.root must be"):
        layout_of(tmp_path)
    asvspoof2021_la(tmp_path / "a" / "LA21")
    with pytest.raises(CorpusError, match="no layout of a corpus is recognised there"):
        layout_of(tmp_path)
    asvspoof5(tmp_path / "c" / "b")
    with pytest.raises(CorpusError, match=r"but b in it is ASVspoof 5: set data\.root to .*b"):
        layout_of(tmp_path / "c")
    table(tmp_path / "d")
    with pytest.raises(CorpusError, match=r"a table is named by its file, such as data\.root: .*corpus\.csv"):
        layout_of(tmp_path / "d")


def test_two_layouts_in_one_folder_are_told_apart_by_name_only(tmp_path: Path) -> None:
    asvspoof2021_la(tmp_path)
    asvspoof2021_df(tmp_path)
    with pytest.raises(CorpusError, match=r"more than one layout, asvspoof2021_la, asvspoof2021_df; set data\.layout"):
        layout_of(tmp_path)
    assert "LA_E_9332881" in utterances_of(tmp_path, layout="asvspoof2021_la")
    assert "DF_E_2000011" in utterances_of(tmp_path, layout="asvspoof2021_df")


def test_a_protocol_file_in_place_of_its_corpus_is_told(tmp_path: Path) -> None:
    root = asvspoof5(tmp_path)
    with pytest.raises(ProtocolError, match=r"data\.root is the folder that holds protocols and audio"):
        read_corpus(root / "ASVspoof5_protocols" / "ASVspoof5.train.tsv")


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_that_the_corpus_has_not_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    for root in (tmp_path / "empty", tmp_path / "notes.csv"):
        with pytest.raises((CorpusError, ProtocolError)):
            read_corpus(root, layout=name)


def test_the_lines_are_compared_with_those_of_the_published_corpus() -> None:
    layout = LAYOUTS["asvspoof2019_la"]
    whole = {"train": 25_380, "dev": 24_844, "eval": 71_237}
    assert layout.compared(whole) == "these are all 121,461 lines of ASVspoof 2019 LA as it is published"
    assert "not ASVspoof 2019 LA as it is published: train 96 of 25,380 lines" in str(
        layout.compared(whole | {"train": 96})
    )
    assert LAYOUTS["asvspoof2021_df"].compared({"train": 0, "dev": 0, "eval": 611_829}) is not None
    assert LAYOUTS["folders"].compared({"eval": 5}) is None


# Read


def test_fields_of_asvspoof_2019_pa(tmp_path: Path) -> None:
    utterances = utterances_of(asvspoof2019_pa(tmp_path))
    assert Counter(utterance.split for utterance in utterances.values()) == dict.fromkeys(
        ("train", "dev", "eval"), N_CLIPS
    )
    spoof = utterances["PA_T_0000001"]
    assert (spoof.label, spoof.attack_id, fields_of(spoof)) == (0, "BC", {"environment": "cbc"})


def test_fields_of_asvspoof_2021_la(tmp_path: Path) -> None:
    utterances = utterances_of(asvspoof2021_la(tmp_path))
    assert {utterance.split for utterance in utterances.values()} == {"eval"}
    spoof, bona_fide = utterances["LA_E_1665632"], utterances["LA_E_3834637"]
    assert (spoof.speaker_id, spoof.label, spoof.attack_id) == ("LA_0031", 0, "A19")
    assert fields_of(spoof) == {"codec": "opus", "transmission": "loc_tx", "trim": "trim", "subset": "hidden"}
    assert (bona_fide.label, bona_fide.attack_id) == (1, None)
    assert fields_of(bona_fide)["transmission"] == "-"


def test_fields_of_asvspoof_2021_df(tmp_path: Path) -> None:
    spoof = utterances_of(asvspoof2021_df(tmp_path))["DF_E_2000013"]
    assert (spoof.speaker_id, spoof.label, spoof.attack_id) == ("TEF2", 0, "Task1-team20")
    assert fields_of(spoof) == {
        "codec": "low_m4a",
        "source": "vcc2020",
        "trim": "notrim",
        "subset": "eval",
        "vocoder": "neural_vocoder_nonautoregressive",
        "task": "Task1",
        "team": "team20",
        "gender_pair": "FF",
        "language": "E",
    }


def test_asvspoof_2021_without_its_keys_is_unlabelled(tmp_path: Path) -> None:
    root = asvspoof2021_la(tmp_path)
    names = sorted(utterances_of(root))
    shutil.rmtree(root / "keys")
    write_lines(root / "ASVspoof2021_LA_eval" / "ASVspoof2021.LA.cm.eval.trl.txt", names)
    for place in (root, root / "ASVspoof2021_LA_eval"):
        assert layout_of(place).name == "asvspoof2021_la"
        table = build_manifest(place)
        assert table["utterance_id"].to_pylist() == names
        assert table["label"].null_count == table["problem"].null_count == N_CLIPS


@pytest.mark.parametrize("headed", [False, True])
def test_fields_of_asvspoof_5_with_and_without_a_line_of_names(tmp_path: Path, headed: bool) -> None:
    root = asvspoof5(tmp_path, headed=headed)
    utterances = utterances_of(root)
    assert len(utterances) == 3 * N_CLIPS
    spoof = utterances["E_0000000004"]
    assert (spoof.split, spoof.label, spoof.attack_id, spoof.speaker_id) == ("eval", 0, "A05", "E_4851")
    assert fields_of(spoof) == {
        "gender": "F",
        "codec": "C05",
        "codec_q": "2",
        "codec_seed": "-",
        "attack_tag": "AC1",
        "tmp": "-",
    }
    for path in (root / "flac_D").iterdir():
        path.rename(path.with_suffix(""))
    assert build_manifest(root)["problem"].null_count == 3 * N_CLIPS


def test_splits_of_asvspoof_5_may_be_absent(tmp_path: Path) -> None:
    root = asvspoof5(tmp_path)
    (root / "ASVspoof5_protocols" / "ASVspoof5.train.tsv").unlink()
    (root / "ASVspoof5_protocols" / "ASVspoof5.dev.track_1.tsv").unlink()
    assert {utterance.split for utterance in read_corpus(root)} == {"eval"}


def test_the_eval_protocol_of_asvspoof_2019_is_enough(tmp_path: Path) -> None:
    root = asvspoof2019_pa(tmp_path)
    protocols = root / "ASVspoof2019_PA_cm_protocols"
    (protocols / "ASVspoof2019.PA.cm.train.trn.txt").unlink()
    with pytest.raises(CorpusError, match=r"train\.trn\.txt: no such protocol file"):
        read_corpus(root)
    (protocols / "ASVspoof2019.PA.cm.dev.trl.txt").unlink()
    assert {utterance.split for utterance in read_corpus(root)} == {"eval"}


def test_in_the_wild_is_named_by_its_folder_or_its_table(tmp_path: Path) -> None:
    root = in_the_wild(tmp_path)
    for place in (root, root / "meta.csv"):
        assert layout_of(place).name == "in_the_wild"
        utterances = utterances_of(place)
        assert {utterance.split for utterance in utterances.values()} == {"eval"}
        assert (utterances["0"].label, utterances["0"].attack_id, utterances["1"].label) == (0, "unknown", 1)
        assert utterances["1"].speaker_id == "Barack Obama"


@pytest.mark.parametrize(
    "names", [("bonafide", "spoof"), ("real", "fake"), ("bona-fide", "Spoofed"), ("Genuine", "FAKE")]
)
def test_folders_of_classes_name_the_attack_by_the_folder_of_the_clip(tmp_path: Path, names: tuple[str, str]) -> None:
    utterances = utterances_of(class_folders(tmp_path, names))
    spoof = utterances[f"{names[1]}/ljspeech_hifiGAN/LJ1_gen"]
    bona_fide = utterances[f"{names[0]}/LJ_Speech/wavs/LJ0"]
    assert (spoof.split, spoof.label, spoof.attack_id) == ("eval", 0, "ljspeech_hifiGAN")
    assert (bona_fide.label, bona_fide.attack_id, fields_of(bona_fide)) == (1, None, {"folder": "LJ Speech/wavs"})
    assert bona_fide.path == f"{names[0]}/LJ Speech/wavs/LJ0.wav"


def test_folders_of_splits_hold_folders_of_classes(tmp_path: Path) -> None:
    root = class_folders(tmp_path, splits=("training", "validation", "testing"))
    splits = Counter((utterance.split, utterance.label) for utterance in read_corpus(root))
    assert splits == {(split, label): N_CLIPS // 2 for split in ("train", "dev", "eval") for label in (0, 1)}


def test_folders_of_classes_leave_nothing_out_in_silence(tmp_path: Path) -> None:
    root = class_folders(tmp_path)
    write_clip(root / "fake" / "x.flac")
    (root / "fake" / "._x.flac").write_text("a Mac's")
    (root / "fake" / "notes.txt").write_text("notes")
    told: list[str] = []
    utterances = {u.utterance_id: u for u in read_corpus(root, on_warning=told.append)}
    assert utterances["fake/x"].attack_id == "unknown"
    assert told == ["2 files are left out, as they are no audio by their names, such as fake/._x.flac"]


def test_a_linked_folder_of_a_class_is_followed_where_links_may_lead(tmp_path: Path) -> None:
    root, elsewhere = class_folders(tmp_path / "corpus"), tmp_path / "LJSpeech"
    (root / "real").rename(elsewhere)
    (root / "real").symlink_to(elsewhere)
    with pytest.raises(CorpusError, match=r"a link that leaves the corpus; .*data\.link_targets"):
        read_corpus(root)
    assert len(utterances_of(root, link_targets=(str(elsewhere),))) == N_CLIPS
    (root / "fake" / "again").symlink_to(root / "fake")
    with pytest.raises(CorpusError, match="a link to a folder that is read already"):
        read_corpus(root, (str(elsewhere),))


def test_one_class_alone_is_a_test_set(tmp_path: Path) -> None:
    root = class_folders(tmp_path)
    shutil.rmtree(root / "real")
    rows = build_manifest(root).to_pylist()
    assert {(row["split"], row["label"]) for row in rows} == {("eval", 0)}


# What is refused


def test_a_list_of_files_and_labels_is_told_as_one(tmp_path: Path) -> None:
    root = asvspoof2019_pa(tmp_path)
    path = root / "ASVspoof2019_PA_cm_protocols" / "ASVspoof2019.PA.cm.eval.trl.txt"
    write_lines(path, ["X_0000.wav genuine", "X_0001.wav fake"])
    with pytest.raises(ProtocolError, match=r"column 2 holds fake/genuine: this looks like a list of files and labels"):
        read_corpus(root)


def test_the_lines_of_another_corpus_are_told_as_such(tmp_path: Path) -> None:
    root = asvspoof2019_pa(tmp_path)
    path = root / "ASVspoof2019_PA_cm_protocols" / "ASVspoof2019.PA.cm.eval.trl.txt"
    write_lines(path, ["LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval"])
    with pytest.raises(ProtocolError, match=r"found 8, as the lines of ASVspoof 2021 LA have \(data\.layout\)"):
        read_corpus(root)


def test_a_shared_speaker_says_how_to_accept_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_lines(
        path, ["path,split,label,speaker_id", "a.wav,train,bonafide,Some Body", "b.wav,eval,bona-fide,Some Body"]
    )
    with pytest.raises(ProtocolError, match=r"speaker Some Body of eval is in train too .* leave the speaker empty"):
        read_corpus(path)


def test_backslashes_in_a_table_are_told(tmp_path: Path) -> None:
    path = table(tmp_path)
    path.write_text(path.read_text().replace("/", "\\"))
    with pytest.raises(CorpusError, match=r"write / in place of \\; paths are relative to the folder of the table"):
        build_manifest(path)


@pytest.mark.parametrize("name", CORPORA)
def test_damaged_protocols_are_read_or_refused_with_a_message(tmp_path: Path, name: str) -> None:
    root = CORPORA[name](tmp_path / "corpus")
    protocols = [path for path in tmp_path.rglob("*") if path.suffix in (".txt", ".tsv", ".csv")]
    draw = random.Random(2019)
    outcomes: Counter[str] = Counter()
    for path in protocols:
        whole = path.read_bytes()
        for _ in range(60):
            at = draw.randrange(len(whole))
            part = draw.choice(
                (b"", b"\0", b",", b"\n", b'"', b" ", b"\xff", b"../", b"\t\t", draw.randbytes(5), whole[:at])
            )
            path.write_bytes(whole[:at] + part + whole[at + draw.choice((0, 1, 5)) :])
            try:
                utterances = read_corpus(root)
                outcomes["read"] += len(utterances) > 0
            except (CorpusError, ProtocolError) as error:
                outcomes["refused"] += len(str(error)) < 5000
        path.write_bytes(whole)
    assert outcomes.total() == 60 * len(protocols)


# Equal bytes


def copied(root: Path, split: str, label: str) -> Path:
    """A table with a copy of its first bona fide train clip under another name, split and label."""
    path = table(root)
    shutil.copy(root / "train" / "0.wav", root / "copy.wav")
    with path.open("a") as file:
        file.write(f"copy.wav,{split},{label},,,\n")
    return path


def test_equal_bytes_under_two_labels_are_an_error_with_both_lines(tmp_path: Path) -> None:
    path = copied(tmp_path, "train", "spoof")
    with pytest.raises(ProtocolError) as caught:
        build_manifest(path)
    assert f"{path}:2: train/0 is bona fide, but its file has the same bytes as that of copy, which is spoof" in str(
        caught.value
    )
    assert f"(at {path}:20); remove one of the lines" in str(caught.value)


def test_equal_bytes_in_two_splits_are_a_warning_or_an_error(tmp_path: Path) -> None:
    path = copied(tmp_path, "eval", "bonafide")
    told: list[str] = []
    assert len([row for batch in manifest_batches(path, on_warning=told.append) for row in batch.to_pylist()]) == 19
    assert told[0].startswith("1 file has the same bytes as a file of another split")
    assert f"{path}:2: train/0 of train has the same bytes as copy of eval (at {path}:20)" in told[0]
    with pytest.raises(ProtocolError, match=r"(?s)has the same bytes.*set data\.shared_audio to warn"):
        list(manifest_batches(path, shared_audio="error"))


def test_equal_bytes_of_one_split_and_label_are_no_matter(tmp_path: Path) -> None:
    told: list[str] = []
    list(manifest_batches(copied(tmp_path, "train", "bonafide"), on_warning=told.append))
    assert told == []


def test_files_that_cannot_be_used_are_not_compared(tmp_path: Path) -> None:
    path = table(tmp_path)
    for name in ("train/0.wav", "train/1.wav", "eval/0.wav"):
        (tmp_path / name).write_bytes(b"")
    assert build_manifest(path)["problem"].null_count == 15
