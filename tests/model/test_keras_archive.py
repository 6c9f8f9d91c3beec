"""Keras archives: equal weights are equal files."""

import json
import zipfile
from pathlib import Path
from typing import Protocol

import keras

from model.keras_archive import save_normalised


class Trained(Protocol):
    model: Path


def test_archives_hold_no_date_and_no_memory_address(trained: Trained) -> None:
    with zipfile.ZipFile(trained.model / "model.keras") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert "date_saved" not in json.loads(archive.read("metadata.json"))
        text = archive.read("config.json").decode()
        assert all(len(part.split(",")[0].rstrip("}")) < 4 for part in text.split('"shared_object_id": ')[1:])


def test_equal_weights_are_equal_bytes(tmp_path: Path, trained: Trained) -> None:
    for name in ("a", "b"):
        model = keras.saving.load_model(trained.model / "model.keras")
        save_normalised(model, tmp_path / f"{name}.keras")

    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
