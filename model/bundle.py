"""The model bundle: a folder with weights, dev scores, what it knows of its domain, and a description: all that scores raw audio.

`bundle.json` holds the checksum of every other file. A bundle is written to another folder and swapped in whole.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from model.artifacts import BUNDLE_FILE, DEV_SCORES_FILE, DOMAIN_FILE, NETWORK_FILE
from model.bundle_file import BUNDLE, BUNDLE_VERSION, REMEDY, require_one_network
from model.development import check_development, read_development, write_development
from model.domain_file import Domain, read_domain, write_domain
from model.errors import ModelError
from model.keras_archive import save_normalised
from model.metrics import Calibration, ScoreTable
from model.params import TrainParams
from model.sampler import crop_frames
from model.sealed_file import sealed
from pipeline.errors import ParamsError
from pipeline.files import sha256_of, swap_in, write_json
from pipeline.frontends import FeatureParams, front_end_version, parse_features
from pipeline.parameter_file import parse_params
from pipeline.section import Section
from pipeline.storage.locks import file_lock
from pipeline.store import FeatureStore

_VERSIONED: Final = ("keras", "numpy", "tensorflow", "tensorflow-io")


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained model with all that turns audio into a verdict.

    Attributes:
        network: From float32 [batch, n_frames, n_bins] in dB to the logit, float32 [batch, 1].
        features: The front end it was trained with.
        calibration: From logit to log-likelihood ratio, fitted on `development`.
        threshold: Log-likelihood ratio from which a clip counts as bona fide: that of the equal error rate of `development`.
        development: Log-likelihood ratios of dev and, with folds, of attacks left out of train: what calibration, threshold
            and any abstain band come from.
        calibrated_on: Number of trials in it: `dev_bonafide`, `dev_spoof`, `folds`, `held_out_bonafide`, `held_out_spoof`.
        domain: The recordings that it knows.
        train: The parameters it was trained with.
        epoch: The epoch whose weights it has, from 1.
        store_fingerprint: `config_fingerprint` of the feature store it was trained on.
    """

    network: keras.Model
    features: FeatureParams
    calibration: Calibration
    threshold: float
    development: ScoreTable
    calibrated_on: Mapping[str, int]
    domain: Domain
    train: TrainParams
    epoch: int
    store_fingerprint: str

    def require_front_end_of(self, store: FeatureStore) -> None:
        """Makes sure that a store's spectrograms are of the kind that the network knows.

        Raises:
            ModelError: The front ends differ; the message names the parameters.
        """
        ours = {**self.features.spectral(), "version": front_end_version(self.features.kind)}
        theirs = {**store.features.spectral(), "version": store.info["front_end_version"]}
        differing = [
            f"{key} {theirs.get(key, 'absent')} (model: {ours.get(key, 'absent')})"
            for key in dict.fromkeys([*theirs, *ours])
            if ours.get(key) != theirs.get(key)
        ]
        if differing:
            raise ModelError(
                f"the model was trained with another front end than that of {store.storage.url}: "
                f"{', '.join(differing)}; train again with `bonafide train`"
            )


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Writes a bundle. An older one in the folder stays as it is until the new one is whole, then goes.

    Raises:
        ModelError: The folder holds other files.
        StoreError: Another process writes it.
    """
    require_bundle_folder(folder)
    with _one_writer(folder, "lock", "is writing this model"):
        unfinished = work_folder(folder) / "bundle"
        shutil.rmtree(unfinished, ignore_errors=True)
        _write_files(bundle, unfinished)
        swap_in(unfinished, folder.resolve())
        with contextlib.suppress(OSError):  # the checkpoint of a training may be there
            unfinished.parent.rmdir()


def one_training(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Excludes other trainings of the bundle in a folder, with which this one would share checkpoint and report.

    Raises:
        StoreError: Another process trains it; the message names that process.
    """
    return _one_writer(folder, "training.lock", "is training this model")


@contextlib.contextmanager
def _one_writer(folder: Path, suffix: str, doing: str) -> Iterator[None]:
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(folder.with_name(f".{folder.name}.{suffix}"), str(folder), doing):
        yield


def work_folder(folder: Path) -> Path:
    """The hidden folder beside a bundle's for unfinished files. DVC removes the bundle's folder before a stage runs, not this."""
    folder = folder.resolve()
    return folder.with_name(f".{folder.name}.work")


def require_bundle_folder(folder: Path) -> None:
    """Makes sure that a folder may be replaced as a whole.

    Raises:
        ModelError: It holds other files than those of a bundle.
    """
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{folder} is a file; choose a folder for the model")
    others = sorted(
        {path.name for path in folder.glob("*")} - {BUNDLE_FILE, NETWORK_FILE, DEV_SCORES_FILE, DOMAIN_FILE}
    )
    if others:
        raise ModelError(
            f"{folder} holds files that are not a model's, such as {others[0]}, and would be replaced as a whole; "
            "choose an empty folder for the model"
        )


def _write_files(bundle: Bundle, folder: Path) -> None:
    save_normalised(bundle.network, folder / NETWORK_FILE)
    write_development(bundle.development, folder)
    write_domain(bundle.domain, folder)
    description = {
        "bundle_version": BUNDLE_VERSION,
        "front_end": {
            "version": front_end_version(bundle.features.kind),
            "parameters": bundle.features.model_dump(mode="json"),
            **_statistics(bundle.network),
        },
        "calibration": asdict(bundle.calibration),
        "calibrated_on": dict(bundle.calibrated_on),
        "threshold": bundle.threshold,
        "training": {"parameters": bundle.train.model_dump(mode="json"), "epoch": bundle.epoch},
        "store_fingerprint": bundle.store_fingerprint,
        "versions": {name: version(name) for name in _VERSIONED},
        "sha256": {name: sha256_of(folder / name) for name in (NETWORK_FILE, DEV_SCORES_FILE, DOMAIN_FILE)},
    }
    write_json(folder / BUNDLE_FILE, sealed(description))


class _TrainSection(Section):
    train: TrainParams


def load_bundle(folder: Path) -> Bundle:
    """Reads a bundle and checks that its parts belong together.

    Raises:
        ModelError: There is none, it is damaged, a value of bundle.json is not allowed or not that of the other files, or
            another version of the program made it.
    """
    require_one_network(folder)
    info = BUNDLE.read(folder)
    try:
        features = parse_features(info["front_end"]["parameters"], str(folder / BUNDLE_FILE))
        sections = parse_params({"train": info["training"]["parameters"]}, str(folder / BUNDLE_FILE), _TrainSection)
    except ParamsError as error:
        raise ModelError(f"{error}; {REMEDY}") from error
    found, needed = info["front_end"]["version"], front_end_version(features.kind)
    if found != needed:
        raise ModelError(
            f"{folder}: the model has front end version {found}, this program needs {needed}; train again with `bonafide train`"
        )
    BUNDLE.check_files(folder, info["sha256"])
    bundle = Bundle(
        network=_load_network(folder),
        features=features,
        calibration=Calibration(**info["calibration"]),
        threshold=info["threshold"],
        development=read_development(folder, REMEDY),
        calibrated_on=info["calibrated_on"],
        domain=read_domain(folder, REMEDY),
        train=sections.train,
        epoch=info["training"]["epoch"],
        store_fingerprint=info["store_fingerprint"],
    )
    _check_network(folder, bundle, info["front_end"])
    check_development(folder, BUNDLE, bundle.development, bundle.calibrated_on, bundle.threshold)
    return bundle


def _load_network(folder: Path) -> keras.Model:
    try:
        return keras.saving.load_model(folder / NETWORK_FILE, compile=False)
    except Exception as error:  # Keras has no base of its exceptions: an archive can break in any of its modules
        reason = str(error).partition("\n")[0][:200]
        raise ModelError(f"{folder / NETWORK_FILE} is no network that Keras can load: {reason}; {REMEDY}") from error


def _check_network(folder: Path, bundle: Bundle, front_end: Mapping[str, Any]) -> None:
    """Makes sure that the network takes and gives what the description says."""
    network, n_bins = bundle.network, bundle.features.n_bins
    expected = (None, crop_frames(bundle.train.crop_s, bundle.features), n_bins), (None, 1)
    shapes = getattr(network, "input_shape", None), getattr(network, "output_shape", None)
    if shapes != expected:
        raise ModelError(
            f"{folder / NETWORK_FILE}: a network from {shapes[0]} to {shapes[1]}; training.parameters and front_end of "
            f"{BUNDLE_FILE} say from {expected[0]} to {expected[1]}; {REMEDY}"
        )
    try:
        statistics = _statistics(network)
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"{folder / NETWORK_FILE}: the network has no layer that normalises; {REMEDY}") from error
    for key, values in statistics.items():
        if values != front_end[key]:
            raise BUNDLE.wrong(folder, f"front_end.{key}", "the network normalises with other values")
    n_features = network.layers[-1].input.shape[-1]
    if len(bundle.domain.embeddings.means[0]) != n_features:
        raise ModelError(f"{folder / DOMAIN_FILE}: embeddings.means: the network has {n_features} features; {REMEDY}")
    if not all(np.isfinite(weight).all() for weight in network.get_weights()):
        raise ModelError(f"{folder / NETWORK_FILE}: the network has weights that are not finite; {REMEDY}")


def _statistics(network: keras.Model) -> dict[str, list[float]]:
    """Mean and deviation of each bin by which a network normalises its input, in dB."""
    layer = network.get_layer("normalise")
    return {
        "mean_db": [float(value) for value in np.ravel(layer.input_mean)],
        "deviation_db": [float(value) ** 0.5 for value in np.ravel(layer.input_variance)],
    }
