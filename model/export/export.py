"""Exports a trained model: one file per format, and export.json, which describes them.

Every format holds the whole way from waveform to log-likelihood ratio, front end and calibration included.
"""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from model.artifacts import EXPORT_FILE, SERVING_FILE
from model.bundle import Bundle
from model.export.serving import serving_model
from model.keras_archive import save_normalised
from pipeline.files import replaced_folder, sha256_of, write_json

_VERSIONED: Final = ("keras", "numpy", "tensorflow")
_KERAS_NOTE: Final = "Keras archive; import model.export.serving, then keras.saving.load_model"


@dataclass(frozen=True)
class ExportResult:
    """What was exported.

    Attributes:
        sizes: Bytes of each exported model, by file name.
    """

    sizes: dict[str, int]


def export(bundle: Bundle, output: Path) -> ExportResult:
    """Writes a bundle's model for serving.

    Args:
        bundle: The trained model.
        output: Folder to write to. An earlier export stays until this one is whole, then goes.

    Raises:
        OSError: The folder holds files that are not an export's, or another process writes it.
    """
    with replaced_folder(output, (EXPORT_FILE, SERVING_FILE)) as folder:
        return _export(bundle, folder)


def _export(bundle: Bundle, output: Path) -> ExportResult:
    """As `export`, to an empty folder."""
    save_normalised(serving_model(bundle), output / SERVING_FILE)
    formats = {SERVING_FILE: _KERAS_NOTE}
    description = {
        "input": {
            "name": "waveform",
            "dtype": "float32",
            "shape": [1, None],
            "range": [-1.0, 1.0],
            "sample_rate": bundle.features.sample_rate,
        },
        "output": {"name": "score", "dtype": "float32", "shape": [1], "meaning": "log-likelihood ratio for bona fide"},
        "threshold": bundle.threshold,
        "files": {name: {"format": note, "sha256": sha256_of(output / name)} for name, note in formats.items()},
        "store_fingerprint": bundle.store_fingerprint,
        "versions": {name: version(name) for name in _VERSIONED},
    }
    write_json(output / EXPORT_FILE, description)
    return ExportResult({name: (output / name).stat().st_size for name in formats})
