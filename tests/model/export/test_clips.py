"""Which clips the exported models are compared on."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from model.errors import ModelError
from model.export.clips import choose_clips
from model.export.export import Corpus
from tests.support.front_ends import LOG_MEL


def replaced(manifest: pa.Table, name: str, values: list[object]) -> pa.Table:
    position = manifest.schema.get_field_index(name)
    return manifest.set_column(
        position, manifest.schema.field(name), pa.array(values, manifest.schema.field(name).type)
    )


def test_both_classes_of_eval_are_chosen_evenly(small_corpus: Corpus) -> None:
    clips = choose_clips(small_corpus.manifest, small_corpus.path, LOG_MEL, 8)
    assert clips is not None
    assert clips.split == "eval"
    assert clips.labels().tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    names = [row["utterance_id"] for row in clips.rows]
    assert len(set(names)) == 8
    assert names == sorted(names[:4]) + sorted(names[4:])


def test_without_labels_of_eval_they_are_of_dev(small_corpus: Corpus) -> None:
    rows = small_corpus.manifest.to_pylist()
    labels = [None if row["split"] == "eval" else row["label"] for row in rows]
    clips = choose_clips(replaced(small_corpus.manifest, "label", labels), small_corpus.path, LOG_MEL, 8)
    assert clips is not None
    assert clips.split == "dev"


def test_clips_that_the_features_stage_would_reject_are_left_out(small_corpus: Corpus, tmp_path: Path) -> None:
    root = tmp_path / "LA"
    shutil.copytree(small_corpus.path, root)
    all_of_them = choose_clips(small_corpus.manifest, root, LOG_MEL, 40)
    assert all_of_them is not None
    damaged, changed = (root / row["path"] for row in all_of_them.rows[:2])
    damaged.write_bytes(damaged.read_bytes()[:2000])
    shutil.copyfile(root / all_of_them.rows[2]["path"], changed)

    clips = choose_clips(small_corpus.manifest, root, LOG_MEL, 40)

    assert clips is not None
    assert clips.rows == all_of_them.rows[2:]
    (root / clips.rows[0]["path"]).unlink()
    with pytest.raises(ModelError, match=clips.rows[0]["utterance_id"]):
        list(clips.waveforms(LOG_MEL))


def test_without_the_audio_there_are_none(small_corpus: Corpus, tmp_path: Path) -> None:
    assert choose_clips(small_corpus.manifest, tmp_path / "absent", LOG_MEL, 8) is None
