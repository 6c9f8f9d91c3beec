"""bundle.json, the description in a model bundle: the shape of its content."""

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from model.artifacts import (
    BUNDLE_FILE,
    DEV_SCORES_FILE,
    DOMAIN_FILE,
    FUSION_FILE,
    MAIN_NETWORK,
    MEMBER_NETWORKS_FOLDER,
    NETWORK_FILE,
)
from model.development import Trials
from model.errors import ModelError
from model.sealed_file import Part, SealedFile

BUNDLE_VERSION: Final = 3
REMEDY: Final = "restore the model, with `dvc checkout` for one, or train again with `bonafide train`"

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _FrontEnd(Part):
    version: int
    parameters: dict[str, Any]
    mean_db: list[_Finite]
    deviation_db: list[Annotated[_Finite, Field(ge=0)]]


class _Calibration(Part):
    slope: Annotated[_Finite, Field(gt=0)]
    intercept: _Finite
    prior: Annotated[_Finite, Field(gt=0, lt=1)]


class _Training(Part):
    parameters: dict[str, Any]
    epoch: Annotated[int, Field(ge=1)]


class _Files(Part):
    network: _Digest = Field(alias=NETWORK_FILE)
    dev_scores: _Digest = Field(alias=DEV_SCORES_FILE)
    domain: _Digest = Field(alias=DOMAIN_FILE)


class _Description(Part):
    bundle_version: int
    front_end: _FrontEnd
    calibration: _Calibration
    calibrated_on: Trials
    threshold: _Finite
    training: _Training
    store_fingerprint: _Digest
    versions: dict[str, str]
    sha256: _Files
    own_sha256: _Digest


BUNDLE: Final = SealedFile(
    BUNDLE_FILE, "bundle_version", BUNDLE_VERSION, _Description, "model", "no trained model", "bonafide train", REMEDY
)


def require_one_network(folder: Path, remedy: str = "give") -> None:
    """Makes sure that a folder is not the bundle of a fusion.

    Args:
        folder: Of a model or of an export.
        remedy: What to do with the folder of one of its networks.

    Raises:
        ModelError: It is; the message says where its networks are.
    """
    if (folder / FUSION_FILE).exists():
        raise ModelError(
            f"{folder} is a fusion of several networks, and this command takes one: {remedy} {folder / MAIN_NETWORK}, or the "
            f"folder of one in {folder / MEMBER_NETWORKS_FOLDER}"
        )
