"""What a detector scores with: one network, or several whose log-likelihood ratios are fused."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.artifacts import MAIN_NETWORK
from model.bundle import Bundle, load_bundle
from model.errors import ModelError
from model.fusion_file import is_fusion, read_fusion, require_one_rate
from model.metrics import Fusion, ScoreTable


@dataclass(frozen=True, eq=False)
class DetectorModel:
    """Networks and how their scores become one. A single network is a fusion of one, with weight 1.

    Attributes:
        networks: By name; the first is the main one, which decides which recordings are like the training data.
        fusion: Weights of their log-likelihood ratios, in the same order.
        threshold: Log-likelihood ratio from which a clip counts as bona fide.
        development: Log-likelihood ratios that threshold and uncertain band come from.
        calibrated_on: Number of trials in it, as in `Bundle`.
    """

    networks: Mapping[str, Bundle]
    fusion: Fusion
    threshold: float
    development: ScoreTable
    calibrated_on: Mapping[str, int]

    @classmethod
    def of(cls, bundle: Bundle) -> "DetectorModel":
        """The model of a single network."""
        alone = Fusion(np.ones(1), 0.0, bundle.calibration.prior)
        return cls({MAIN_NETWORK: bundle}, alone, bundle.threshold, bundle.development, bundle.calibrated_on)

    @property
    def main(self) -> Bundle:
        """The main network."""
        return next(iter(self.networks.values()))


def load_model(folder: Path) -> DetectorModel:
    """Reads a folder of `bonafide train`, or of `bonafide fuse --fusion`.

    Raises:
        ModelError: There is no model, it or one of its networks is damaged, or another version of the program made it.
    """
    if not is_fusion(folder):
        return DetectorModel.of(load_bundle(folder))
    parts = read_fusion(folder)
    networks = {}
    for name, place in parts.networks.items():
        try:
            networks[name] = load_bundle(place)
        except ModelError as error:
            again = "then make the fusion again with `bonafide fuse --fusion`"
            raise ModelError(f"{folder}: the fusion's network {name} is of no use: {error}, {again}") from error
    require_one_rate(folder, {name: bundle.features.sample_rate for name, bundle in networks.items()})
    return DetectorModel(networks, parts.fusion, parts.threshold, parts.development, parts.calibrated_on)
