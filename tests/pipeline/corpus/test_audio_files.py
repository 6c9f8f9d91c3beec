"""Where the audio of a corpus is, and what its classes are called."""

from pathlib import Path

import pytest

from pipeline.corpus.audio_files import audio_root
from pipeline.corpus.links import linked_folders
from pipeline.corpus.schema import BONA_FIDE, SPOOF, label_key, label_name


def test_audio_lies_in_the_corpus_folder_or_beside_the_table(tmp_path: Path) -> None:
    table = tmp_path / "corpus.csv"
    table.touch()
    assert audio_root(tmp_path) == tmp_path
    assert audio_root(table) == tmp_path


@pytest.mark.parametrize(
    ("label", "name", "key"),
    [(BONA_FIDE, "bona fide", "bona_fide"), (SPOOF, "spoof", "spoof"), (None, "unlabelled", "unlabelled")],
)
def test_every_class_has_one_name(label: int | None, name: str, key: str) -> None:
    assert (label_name(label), label_key(label)) == (name, key)


def test_links_to_folders_on_the_way_to_the_audio_are_named(tmp_path: Path) -> None:
    (tmp_path / "real" / "flac").mkdir(parents=True)
    (tmp_path / "corpus" / "dev" / "flac").mkdir(parents=True)
    (tmp_path / "corpus" / "train").symlink_to(tmp_path / "real")
    assert linked_folders(tmp_path / "corpus", ["train/flac", "dev/flac", "", "gone"]) == ["train"]
    assert linked_folders(tmp_path / "corpus", ["dev/flac"]) == []
