"""The exported ONNX model and what its export.json says of it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from model.artifacts import EXPORT_FILE, ONNX_FILE
from model.bundle_file import require_one_network
from model.errors import ModelError
from pipeline.section import ClipParams

_REMEDY: Final = "make it with `bonafide export`"


@dataclass(frozen=True)
class ExportedModel:
    """A detector from waveform to score.

    Attributes:
        data: The ONNX file.
        sha256: Of it, hexadecimal.
        clips: Which clips it takes, and at which rate.
        front_end: Kind of its front end.
    """

    data: bytes
    sha256: str
    clips: ClipParams
    front_end: str


def read_exported(folder: Path) -> ExportedModel:
    """Reads the ONNX model of an export.

    Raises:
        ModelError: There is no export, it has no ONNX model, or a file of it is damaged; or the folder is a fusion.
    """
    require_one_network(folder, "give the output of bonafide export --model")
    try:
        description = json.loads((folder / EXPORT_FILE).read_text(encoding="utf-8"))
        front_end: dict[str, Any] = description["front_end"]
        left_out, expected = description["left_out"], description["sha256"].get(ONNX_FILE)
        clips = ClipParams(**{name: front_end[name] for name in ClipParams.model_fields})
        kind = str(front_end["kind"])
    except FileNotFoundError:
        raise ModelError(f"{folder}: no exported model (no {EXPORT_FILE}); {_REMEDY}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ModelError(f"{folder / EXPORT_FILE} cannot be read: {error!r}; {_REMEDY}") from error
    if expected is None:
        raise ModelError(f"{folder}: there is no ONNX model in this export: {left_out.get('ONNX', 'it was left out')}")
    try:
        data = (folder / ONNX_FILE).read_bytes()
    except OSError as error:
        raise ModelError(f"{folder / ONNX_FILE} cannot be read: {error.strerror}; {_REMEDY}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != expected:
        raise ModelError(f"{folder / ONNX_FILE} is not the file that {EXPORT_FILE} describes; {_REMEDY}")
    return ExportedModel(data, sha256, clips, kind)
