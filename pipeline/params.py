"""The sections of params.yaml that decide what the features job writes."""

from pathlib import Path

from pipeline.augmentation.params import AugmentParams
from pipeline.corpus.params import DataParams
from pipeline.frontends import FeatureParams
from pipeline.parameter_file import ParameterFile, read_params
from pipeline.store.params import StoreParams


class Params(ParameterFile):
    """Corpus, front end, augmentation and shards."""

    data: DataParams
    features: FeatureParams
    augment: AugmentParams
    store: StoreParams


def load_params(path: Path) -> Params:
    """Reads a parameter file and checks these sections; raises what `read_params` does."""
    return read_params(path, Params)
