"""The model that tests share: a small network, trained on the store of tones."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.store import FeatureStore
from tests.support.parameters import ProjectParams


@dataclass(frozen=True)
class Trained:
    """A trained model and its files.

    Attributes:
        model: Folder of the model bundle.
        report: Folder of the training curves.
        store: The feature store that it was trained on.
        params: All parameters.
    """

    model: Path
    report: Path
    store: FeatureStore
    params: ProjectParams
