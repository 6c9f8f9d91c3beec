"""The bundle of a fusion: a folder with the bundles of its networks, weights, dev scores, and fusion.json, which describes it.

It is written and described here without Keras; `model.detector_model` loads it.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from pydantic import Field

from model.artifacts import BUNDLE_FILE, DEV_SCORES_FILE, FUSION_FILE, MAIN_NETWORK, MEMBER_NETWORKS_FOLDER
from model.bundle_file import BUNDLE
from model.development import Trials, check_development, read_development, write_development
from model.errors import ModelError
from model.metrics import Fusion, ScoreTable
from model.metrics.rates import eer_of_curve
from model.sealed_file import Part, SealedFile, sealed
from pipeline.files import replaced_folder, sha256_of, write_json

FUSION_VERSION: Final = 1
REMEDY: Final = "restore the fusion, with `dvc checkout` for one, or make it again with `bonafide fuse --fusion NAME`"

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Weights(Part):
    networks: Annotated[list[_Finite], Field(min_length=2)]
    intercept: _Finite
    prior: Annotated[_Finite, Field(gt=0, lt=1)]


class _Files(Part):
    dev_scores: _Digest = Field(alias=DEV_SCORES_FILE)
    networks: Annotated[list[_Digest], Field(min_length=2)]


class _Description(Part):
    fusion_version: int
    members: Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]], Field(min_length=1)]
    weights: _Weights
    threshold: _Finite
    calibrated_on: Trials
    sha256: _Files
    own_sha256: _Digest


FUSION: Final = SealedFile(
    FUSION_FILE, "fusion_version", FUSION_VERSION, _Description, "fusion", "no fusion", "bonafide fuse --fusion", REMEDY
)


@dataclass(frozen=True, eq=False)
class FusionParts:
    """What the bundle of a fusion holds.

    Attributes:
        networks: Folders of the bundles of its networks, the main one first.
        fusion: Weights of their log-likelihood ratios, in the same order.
        development: Fused log-likelihood ratios that threshold and uncertain band come from.
        calibrated_on: Number of trials in it, as in a model bundle.
        threshold: That of the equal error rate of `development`.
    """

    networks: Mapping[str, Path]
    fusion: Fusion
    development: ScoreTable
    calibrated_on: Mapping[str, int]
    threshold: float


def network_folder(name: str) -> str:
    """The folder of a network in the bundle of a fusion."""
    return MAIN_NETWORK if name == MAIN_NETWORK else f"{MEMBER_NETWORKS_FOLDER}/{name}"


def is_fusion(folder: Path) -> bool:
    """Whether a folder holds the bundle of a fusion."""
    return (folder / FUSION_FILE).exists()


def write_fusion(
    networks: Mapping[str, Path],
    fusion: Fusion,
    development: ScoreTable,
    calibrated_on: Mapping[str, int],
    folder: Path,
) -> None:
    """Writes the bundle of a fusion. An older one in the folder stays as it is until the new one is whole, then goes.

    Args:
        networks: Folders of the model bundles, the first that of the network of `train`, by the names that they get.
        fusion: Weights of their log-likelihood ratios, in the same order.
        development: Fused scores, of both classes.
        calibrated_on: Number of trials in them.
        folder: To write to.

    Raises:
        ModelError: A model bundle is missing or damaged, or the networks have not one sample rate.
        OSError: The folder holds other files, or another process writes it.
    """
    allowed = (FUSION_FILE, DEV_SCORES_FILE, MAIN_NETWORK, MEMBER_NETWORKS_FOLDER)
    with replaced_folder(folder, allowed) as new:
        rates = {}
        for name, source in networks.items():
            copied = new / network_folder(name)
            BUNDLE.read(source)
            shutil.copytree(source, copied)
            # Of the copy: a training may have replaced the bundle meanwhile.
            info = BUNDLE.read(copied)
            BUNDLE.check_files(copied, info["sha256"])
            rates[name] = info["front_end"]["parameters"].get("sample_rate")
        require_one_rate(folder, rates)
        write_development(development, new)
        description = {
            "fusion_version": FUSION_VERSION,
            "members": list(networks)[1:],
            "weights": {
                "networks": fusion.weights.tolist(),
                "intercept": fusion.intercept,
                "prior": fusion.prior,
            },
            "threshold": eer_of_curve(development.curve).threshold,
            "calibrated_on": dict(calibrated_on),
            "sha256": {
                DEV_SCORES_FILE: sha256_of(new / DEV_SCORES_FILE),
                "networks": [sha256_of(new / network_folder(name) / BUNDLE_FILE) for name in networks],
            },
        }
        write_json(new / FUSION_FILE, sealed(description))


def read_fusion(folder: Path) -> FusionParts:
    """Reads the bundle of a fusion and checks that its parts belong together; the bundles of its networks are not opened.

    Raises:
        ModelError: There is none, it is damaged, a value of fusion.json is not allowed or not that of the other files, or
            another version of the program made it.
    """
    info = FUSION.read(folder)
    members, weights, digests = info["members"], info["weights"], info["sha256"]
    names = [MAIN_NETWORK, *members]
    if len(set(names)) < len(names):
        raise FUSION.wrong(folder, "members", "a name occurs twice")
    for key, found in (("weights.networks", weights["networks"]), ("sha256.networks", digests["networks"])):
        if len(found) != len(names):
            raise FUSION.wrong(folder, key, f"{len(found)} entries for {len(names)} networks")
    described = dict(zip([f"{network_folder(name)}/{BUNDLE_FILE}" for name in names], digests["networks"], strict=True))
    FUSION.check_files(folder, {DEV_SCORES_FILE: digests[DEV_SCORES_FILE], **described})
    development = read_development(folder, REMEDY)
    check_development(folder, FUSION, development, info["calibrated_on"], info["threshold"])
    return FusionParts(
        networks={name: folder / network_folder(name) for name in names},
        fusion=Fusion(np.array(weights["networks"]), weights["intercept"], weights["prior"]),
        development=development,
        calibrated_on=info["calibrated_on"],
        threshold=info["threshold"],
    )


def require_one_rate(folder: Path, rates: Mapping[str, int]) -> None:
    """Makes sure that the networks of a fusion take audio of one sample rate.

    Raises:
        ModelError: They do not.
    """
    if len(set(rates.values())) > 1:
        listed = ", ".join(f"{name} {rate} Hz" for name, rate in rates.items())
        raise ModelError(
            f"{folder}: the networks of a fusion take audio of one sample rate, and these do not: {listed}; "
            "train them with the same features.sample_rate"
        )
