"""The model bundle: a folder with weights, dev scores and a description, all that is needed to score raw audio.

`bundle.json` holds the checksum of every other file. A bundle is written to another folder and swapped in whole.
"""

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import keras

from model.artifacts import BUNDLE_FILE, DEV_SCORES_FILE, NETWORK_FILE
from model.errors import ModelError
from model.keras_archive import save_normalised
from model.metrics import Calibration, MetricsError, ScoreTable, format_scores, read_score_table
from model.params import TrainParams
from pipeline.errors import ParamsError
from pipeline.files import atomic_write, sha256_of, swap_in, write_json
from pipeline.frontends import FeatureParams, front_end_version, parse_features
from pipeline.store import FeatureStore

BUNDLE_VERSION: Final = 2
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
    """
    require_bundle_folder(folder)
    unfinished = work_folder(folder) / "bundle"
    shutil.rmtree(unfinished, ignore_errors=True)
    _write_files(bundle, unfinished)
    swap_in(unfinished, folder.resolve())
    with contextlib.suppress(OSError):  # the checkpoint of a training may be there
        unfinished.parent.rmdir()


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
    others = sorted({path.name for path in folder.glob("*")} - {BUNDLE_FILE, NETWORK_FILE, DEV_SCORES_FILE})
    if others:
        raise ModelError(
            f"{folder} holds files that are not a model's, such as {others[0]}, and would be replaced as a whole; "
            "choose an empty folder for the model"
        )


def _write_files(bundle: Bundle, folder: Path) -> None:
    save_normalised(bundle.network, folder / NETWORK_FILE)
    table = bundle.development
    scores = format_scores(table.utterance_ids.tolist(), table.scores, table.attack_ids.tolist(), table.labels.tolist())
    atomic_write(folder / DEV_SCORES_FILE, scores)
    statistics = bundle.network.get_layer("normalise")
    description = {
        "bundle_version": BUNDLE_VERSION,
        "front_end": {
            "version": front_end_version(bundle.features.kind),
            "parameters": bundle.features.model_dump(mode="json"),
            "mean_db": [float(value) for value in statistics.input_mean],
            "deviation_db": [float(value) ** 0.5 for value in statistics.input_variance],
        },
        "calibration": asdict(bundle.calibration),
        "calibrated_on": dict(bundle.calibrated_on),
        "threshold": bundle.threshold,
        "training": {"parameters": bundle.train.model_dump(mode="json"), "epoch": bundle.epoch},
        "store_fingerprint": bundle.store_fingerprint,
        "versions": {name: version(name) for name in _VERSIONED},
        "sha256": {name: sha256_of(folder / name) for name in (NETWORK_FILE, DEV_SCORES_FILE)},
    }
    write_json(folder / BUNDLE_FILE, description)


def load_bundle(folder: Path) -> Bundle:
    """Reads a bundle.

    Raises:
        ModelError: There is none, it is damaged, or another version of the program made it.
    """
    path = folder / BUNDLE_FILE
    try:
        info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = info["bundle_version"], info["front_end"]["version"]
        features = parse_features(info["front_end"]["parameters"], str(path))
    except FileNotFoundError:
        raise ModelError(f"{folder}: no trained model (no {BUNDLE_FILE}); make one with `bonafide train`") from None
    except (OSError, ValueError, KeyError, TypeError, ParamsError) as error:
        raise ModelError(f"{path} cannot be read: {error}; train again with `bonafide train`") from error
    needed = BUNDLE_VERSION, front_end_version(features.kind)
    if found != needed:
        raise ModelError(
            f"{folder}: the model has bundle version {found[0]} and front end version {found[1]}, this program needs "
            f"{needed[0]} and {needed[1]}; train again with `bonafide train`"
        )
    _check_files(folder, info["sha256"])
    try:
        return Bundle(
            network=keras.saving.load_model(folder / NETWORK_FILE, compile=False),
            features=features,
            calibration=Calibration(**info["calibration"]),
            threshold=info["threshold"],
            development=read_score_table(folder / DEV_SCORES_FILE),
            calibrated_on=info["calibrated_on"],
            train=TrainParams.model_validate_json(json.dumps(info["training"]["parameters"])),
            epoch=info["training"]["epoch"],
            store_fingerprint=info["store_fingerprint"],
        )
    except (ValueError, KeyError, TypeError, MetricsError) as error:
        raise ModelError(f"{folder} cannot be read: {error}; train again with `bonafide train`") from error


def _check_files(folder: Path, checksums: Mapping[str, str]) -> None:
    for name, expected in checksums.items():
        try:
            found = sha256_of(folder / name)
        except OSError as error:
            raise ModelError(
                f"{folder / name} cannot be read: {error.strerror}; train again with `bonafide train`"
            ) from None
        if found != expected:
            raise ModelError(
                f"{folder / name} is not the file that {BUNDLE_FILE} describes (its checksum differs); "
                "restore it, with `dvc checkout` for one, or train again with `bonafide train`"
            )
