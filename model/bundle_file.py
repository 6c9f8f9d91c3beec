"""bundle.json, the description in a model bundle: the shape of its content, and its checksum of itself."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.artifacts import BUNDLE_FILE, DEV_SCORES_FILE, DOMAIN_FILE, NETWORK_FILE
from model.errors import ModelError

BUNDLE_VERSION: Final = 3
REMEDY: Final = "restore the model, with `dvc checkout` for one, or train again with `bonafide train`"

_Count = Annotated[int, Field(ge=0)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _FrontEnd(_Part):
    version: int
    parameters: dict[str, Any]
    mean_db: list[_Finite]
    deviation_db: list[Annotated[_Finite, Field(ge=0)]]


class _Calibration(_Part):
    slope: Annotated[_Finite, Field(gt=0)]
    intercept: _Finite
    prior: Annotated[_Finite, Field(gt=0, lt=1)]


class _Trials(_Part):
    dev_bonafide: _Count
    dev_spoof: _Count
    folds: _Count
    held_out_bonafide: _Count
    held_out_spoof: _Count


class _Training(_Part):
    parameters: dict[str, Any]
    epoch: Annotated[int, Field(ge=1)]


class _Files(_Part):
    network: _Digest = Field(alias=NETWORK_FILE)
    dev_scores: _Digest = Field(alias=DEV_SCORES_FILE)
    domain: _Digest = Field(alias=DOMAIN_FILE)


class _Description(_Part):
    bundle_version: int
    front_end: _FrontEnd
    calibration: _Calibration
    calibrated_on: _Trials
    threshold: _Finite
    training: _Training
    store_fingerprint: _Digest
    versions: dict[str, str]
    sha256: _Files
    own_sha256: _Digest


def sealed(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description with the checksum of itself."""
    return {**description, "own_sha256": _own_sha256(description)}


def read_description(folder: Path) -> dict[str, Any]:
    """Reads bundle.json.

    Raises:
        ModelError: There is none, it is damaged, a key is missing or unknown, a value is not allowed, or another version of
            the program made it. The message names the key.
    """
    path = folder / BUNDLE_FILE
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        version = info["bundle_version"]
    except FileNotFoundError:
        raise ModelError(f"{folder}: no trained model (no {BUNDLE_FILE}); make one with `bonafide train`") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error!r}; {REMEDY}") from error
    if version != BUNDLE_VERSION:
        raise ModelError(
            f"{folder}: the model has bundle version {version}, this program needs {BUNDLE_VERSION}; "
            "train again with `bonafide train`"
        )
    try:
        _Description.model_validate(info)
    except ValidationError as error:
        first = error.errors()[0]
        raise wrong(folder, ".".join(map(str, first["loc"])), first["msg"]) from None
    if _own_sha256(info) != info["own_sha256"]:
        raise wrong(folder, "own_sha256", "the content of the file is not that of this checksum")
    return dict(info)


def wrong(folder: Path, key: str, reason: str) -> ModelError:
    """The error of a value in bundle.json."""
    return ModelError(f"{folder / BUNDLE_FILE}: {key}: {reason}; {REMEDY}")


def _own_sha256(description: Mapping[str, Any]) -> str:
    content = {key: value for key, value in description.items() if key != "own_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=True).encode()).hexdigest()
