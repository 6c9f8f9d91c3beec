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


def load_params(path: Path, member: str | None = None) -> Params:
    """Reads a parameter file, maybe with the changes of a member, and checks these sections; raises what `read_params` does."""
    return read_params(path, Params, member)
