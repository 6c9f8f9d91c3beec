"""The state of a training between two epochs, in one file: an interrupted training goes on as if nothing had happened.

The file is written to a temporary name and renamed. It states what the training was made of; a training of other parameters,
another store, other code or another set of devices does not go on with it.
"""

import hashlib
import io
import json
import platform
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from model.bundle import work_folder
from model.params import TrainParams
from model.training.devices import precision_policy, replica_devices
from model.training.epoch_metrics import Epoch
from pipeline.files import atomic_write
from pipeline.store import FeatureStore

_FILE: Final = "checkpoint.npz"
_DESCRIPTION: Final = "description"
_GROUPS: Final = ("network", "optimizer", "average", "kept")
_VERSIONED: Final = ("keras", "numpy", "tensorflow")

Arrays = list[npt.NDArray[Any]]


@dataclass(frozen=True)
class TrainingState:
    """A training after an epoch.

    Attributes:
        epochs: The epochs so far.
        network: Every variable of the network, the random state of its dropout included.
        optimizer: Every variable of the optimizer.
        average: The average of the weights.
        kept: The weights that are kept so far.
    """

    epochs: list[Epoch]
    network: Arrays
    optimizer: Arrays
    average: Arrays
    kept: Arrays


class Checkpoint:
    """The checkpoint of the training of one bundle.

    Args:
        output: Folder of the bundle.
        origin: What the training is made of, see `describe_origin`.
    """

    def __init__(self, output: Path, origin: Mapping[str, Any]) -> None:
        self._folder = work_folder(output)
        self._path = self._folder / _FILE
        self._origin = dict(origin)

    def save(self, state: TrainingState) -> None:
        """Replaces the checkpoint."""
        arrays = {f"{group}_{n}": value for group in _GROUPS for n, value in enumerate(getattr(state, group))}
        description = {"origin": self._origin, "epochs": [asdict(epoch) for epoch in state.epochs]}
        text = np.frombuffer(json.dumps(description).encode(), dtype=np.uint8)
        content = io.BytesIO()
        np.savez(content, **{_DESCRIPTION: text}, **arrays)
        atomic_write(self._path, content.getvalue())

    def load(self, notified: Callable[[str], None]) -> TrainingState | None:
        """The state to go on from; None where there is none of this training. The next `save` replaces what is not used.

        Args:
            notified: Takes a sentence on a checkpoint that is not used.
        """
        self._remove_leftovers()
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                description = json.loads(arrays[_DESCRIPTION].tobytes())
                state = TrainingState(
                    epochs=[Epoch.from_dict(epoch) for epoch in description["epochs"]],
                    **{group: _numbered(arrays, group) for group in _GROUPS},
                )
            origin = description["origin"]
            differing = [name for name, value in self._origin.items() if origin.get(name) != value]
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile):
            notified("The checkpoint of an interrupted training is not used: it is damaged.")
            return None
        if differing:
            notified(f"The checkpoint of an interrupted training is not used: {' and '.join(differing)} changed.")
            return None
        return state

    def remove(self) -> None:
        """Ends the checkpoint's life, once the bundle is whole."""
        self._path.unlink(missing_ok=True)
        self._remove_leftovers()
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _remove_leftovers(self) -> None:
        """Removes the temporary files of killed runs."""
        for path in self._folder.glob(f".{self._path.stem}-*"):
            path.unlink(missing_ok=True)


def describe_origin(store: FeatureStore, params: TrainParams) -> dict[str, Any]:
    """What the weights of a training follow from, by the words that a message uses."""
    return {
        "parameters": params.model_dump(mode="json"),
        "the feature store": store.info["sha256"],
        "the code": _code_sha256(),
        "the versions of libraries": {name: version(name) for name in _VERSIONED}
        | {"python": platform.python_version()},
        "the devices": [precision_policy(params.mixed_precision), len(replica_devices(params.devices))],
    }


def variables_of(network: keras.Model) -> tuple[Arrays, Arrays]:
    """The values of the network's variables and of its optimizer's."""
    return [_value(variable) for variable in network.variables], [_value(v) for v in network.optimizer.variables]


def restore_variables(network: keras.Model, state: TrainingState) -> None:
    """Gives a compiled network and its optimizer the values of a state."""
    with network.distribute_strategy.scope():
        network.optimizer.build(network.trainable_variables)
    for variables, values in ((network.variables, state.network), (network.optimizer.variables, state.optimizer)):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _value(variable: Any) -> npt.NDArray[Any]:
    return np.array(keras.ops.convert_to_numpy(variable))


def _numbered(arrays: Mapping[str, npt.NDArray[Any]], group: str) -> Arrays:
    names = sorted((name for name in arrays if name.startswith(f"{group}_")), key=lambda name: int(name.split("_")[1]))
    return [arrays[name] for name in names]


def _code_sha256() -> str:
    """Of the modules of `model`, with their names."""
    root = Path(__file__).resolve().parents[1]
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()
