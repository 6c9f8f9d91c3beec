"""Keras archives whose bytes depend on the model alone, so that equal weights are equal files."""

import json
import zipfile
from pathlib import Path
from typing import Any, Final

import keras

from pipeline.files import atomic_path

_ZIP_DATE: Final = (1980, 1, 1, 0, 0, 0)


def save_normalised(model: keras.Model, path: Path) -> None:
    """Saves a model as `.keras` archive whose bytes depend on its architecture and weights alone.

    Keras writes the date into the metadata and the zip's entries, and memory addresses into the configuration.
    """
    with atomic_path(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as archive:
            members = {name: archive.read(name) for name in sorted(archive.namelist())}
        metadata = json.loads(members["metadata.json"])
        del metadata["date_saved"]
        members["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
        members["config.json"] = _without_addresses(members["config.json"].decode()).encode()
        # Stored, not deflated: another zlib would give other bytes.
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for name, content in members.items():
                archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), content)


def _without_addresses(config: str) -> str:
    """Numbers the shared objects of a Keras configuration in order of appearance.

    A dtype policy has no number: layers share the global one when they are built and have one each after loading.
    """
    numbers: dict[int, int] = {}

    def normalise(value: dict[str, Any]) -> dict[str, Any]:
        if "shared_object_id" in value:
            if value.get("class_name") == "DTypePolicy":
                del value["shared_object_id"]
            else:
                value["shared_object_id"] = numbers.setdefault(value["shared_object_id"], len(numbers) + 1)
        return value

    return json.dumps(json.loads(config, object_hook=normalise))
