"""A tiny store of tones, and a model trained on it."""

from typing import TYPE_CHECKING

import pytest

import tests.support.tone_store as tones
from model.params import TrainParams
from pipeline.store import FeatureStore
from tests.support.front_ends import LOG_LINEAR
from tests.support.fused_project import FusedProject
from tests.support.parameters import ProjectParams
from tests.support.trained_model import Trained

if TYPE_CHECKING:
    from model.bundle import Bundle


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Networks that a test builds start from the same weights in every run, whatever ran before."""
    import keras

    keras.utils.set_random_seed(1)


@pytest.fixture(scope="session")
def tone_params() -> ProjectParams:
    return tones.tone_params()


@pytest.fixture(scope="session")
def train_params(tone_params: ProjectParams) -> TrainParams:
    return tone_params.train


@pytest.fixture(scope="session")
def tone_store(tmp_path_factory: pytest.TempPathFactory, tone_params: ProjectParams) -> FeatureStore:
    return tones.write_tone_store(tmp_path_factory.mktemp("tones"), tones.tone_manifest(), tone_params)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tone_store: FeatureStore, tone_params: ProjectParams) -> Trained:
    from model.training.train import train

    folder = tmp_path_factory.mktemp("trained")
    train(tone_store, tone_params.train, folder / "model", folder / "report")
    return Trained(folder / "model", folder / "report", tone_store, tone_params)


@pytest.fixture(scope="session")
def bundle(trained: Trained) -> "Bundle":
    from model.bundle import load_bundle

    return load_bundle(trained.model)


@pytest.fixture(scope="session")
def fused(tmp_path_factory: pytest.TempPathFactory, trained: Trained, tone_params: ProjectParams) -> FusedProject:
    from model.bundle import load_bundle
    from model.evaluation.evaluate import evaluate
    from model.evaluation.network_fusion import FusedNetwork, fuse_networks
    from model.training.train import train

    folder = tmp_path_factory.mktemp("fused")
    params = tone_params.model_copy(update={"features": LOG_LINEAR.model_copy(update={"hop_length": 100})})
    store = tones.write_tone_store(folder / "store", tones.tone_manifest(), params)
    of_member = params.train.model_copy(update={"crop_s": 0.3})
    train(store, of_member, folder / "member", folder / "curves")
    for name, model, of_store in (("main", trained.model, trained.store), ("linear", folder / "member", store)):
        evaluate(of_store, load_bundle(model), tone_params.evaluate, folder / "evaluations" / name)
    networks = [
        FusedNetwork(name, model, folder / "evaluations" / name)
        for name, model in (("main", trained.model), ("linear", folder / "member"))
    ]
    fuse_networks(networks, folder / "report", folder / "fusion")
    return FusedProject(folder / "fusion", folder / "report", trained.model, folder / "member")
