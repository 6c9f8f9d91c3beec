"""A training that was interrupted, and what the next one makes of it."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.bundle import work_folder
from model.params import TrainParams
from model.training.epoch_metrics import Epoch
from model.training.train import train
from pipeline.store import FeatureStore
from tests.support.synthetic_store import files_of
from tests.support.trained_model import Trained

# Of the tones: four epochs of six steps.
STEPS_PER_EPOCH, STEPS = 6, 24


class StopError(Exception):
    """Stands for a kill."""


def stop_at(step: int) -> Callable[[int, int, Epoch | None], None]:
    def progressed(steps: int, total_steps: int, latest: Epoch | None) -> None:
        if steps == step:
            raise StopError

    return progressed


def interrupted(store: FeatureStore, params: TrainParams, folder: Path, step: int) -> list[str]:
    """Trains until a step; gives what was told."""
    told: list[str] = []
    with pytest.raises(StopError):
        train(store, params, folder / "model", folder / "report", stop_at(step), told.append)
    return told


def finished(store: FeatureStore, params: TrainParams, folder: Path) -> list[str]:
    """Trains to the end; gives what was told."""
    told: list[str] = []
    train(store, params, folder / "model", folder / "report", notified=told.append)
    return told


def test_an_interrupted_training_ends_with_the_files_of_an_undisturbed_one(
    tmp_path: Path, trained: Trained, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    assert interrupted(tone_store, train_params, tmp_path, 9) == []
    assert interrupted(tone_store, train_params, tmp_path, 20) == ["Resuming at step 6 of 24."]
    assert not (tmp_path / "model").exists()

    assert finished(tone_store, train_params, tmp_path) == ["Resuming at step 18 of 24."]

    assert files_of(tmp_path / "model") == files_of(trained.model)
    assert files_of(tmp_path / "report") == files_of(trained.report)
    assert {path.name for path in tmp_path.iterdir()} == {"model", "report"}, "no checkpoint stays"


@pytest.mark.parametrize("changes", [{"mixed_precision": True}, {"keep": "last", "class_balance": "weight"}])
def test_other_trainings_resume_too(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams, changes: dict[str, Any]
) -> None:
    params = train_params.model_copy(update={"steps": 12, **changes})
    finished(tone_store, params, tmp_path / "undisturbed")
    interrupted(tone_store, params, tmp_path / "resumed", 8)

    assert finished(tone_store, params, tmp_path / "resumed") == ["Resuming at step 6 of 12."]

    for folder in ("model", "report"):
        assert files_of(tmp_path / "resumed" / folder) == files_of(tmp_path / "undisturbed" / folder)


def test_a_training_that_was_interrupted_after_its_last_epoch_writes_the_model_alone(
    tmp_path: Path,
    trained: Trained,
    monkeypatch: pytest.MonkeyPatch,
    tone_store: FeatureStore,
    train_params: TrainParams,
) -> None:
    def killed(*_arguments: object) -> None:
        raise StopError

    with monkeypatch.context() as patch:
        patch.setattr("model.training.train.save_bundle", killed)
        with pytest.raises(StopError):
            finished(tone_store, train_params, tmp_path)

    steps: list[int] = []
    told: list[str] = []
    train(
        tone_store,
        train_params,
        tmp_path / "model",
        tmp_path / "report",
        lambda done, total, latest: steps.append(done),
        told.append,
    )

    assert told == ["Resuming at step 24 of 24."]
    assert steps == []
    assert files_of(tmp_path / "model") == files_of(trained.model)
    assert files_of(tmp_path / "report") == files_of(trained.report)


def test_a_checkpoint_of_another_training_is_not_used_and_one_line_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    params = train_params.model_copy(update={"steps": 12})
    interrupted(tone_store, params, tmp_path, 8)
    reason = "The checkpoint of an interrupted training is not used: {} changed."

    other_params = params.model_copy(update={"learning_rate": 0.02})
    other_store = FeatureStore(tone_store.storage, {**tone_store.info, "sha256": "0" * 64}, tone_store.index)
    assert interrupted(tone_store, other_params, tmp_path, 1) == [reason.format("parameters")]
    assert interrupted(other_store, params, tmp_path, 1) == [reason.format("the feature store")]
    with monkeypatch.context() as patch:
        patch.setattr("model.training.checkpoint._code_sha256", lambda: "0")
        assert interrupted(other_store, other_params, tmp_path, 1) == [
            reason.format("parameters and the feature store and the code")
        ]
    # It is there until the first epoch of another training is whole.
    assert interrupted(tone_store, params, tmp_path, 7) == ["Resuming at step 6 of 12."]


@pytest.mark.parametrize(
    "damage", [lambda content: content[:1000], lambda content: b"", lambda content: content[:-9000]]
)
def test_a_damaged_checkpoint_is_not_used(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams, damage: Callable[[bytes], bytes]
) -> None:
    interrupted(tone_store, train_params, tmp_path, 8)
    [path] = work_folder(tmp_path / "model").iterdir()
    path.write_bytes(damage(path.read_bytes()))

    told = interrupted(tone_store, train_params, tmp_path, 1)

    assert told == ["The checkpoint of an interrupted training is not used: it is damaged."]


def test_temporary_files_of_killed_runs_do_not_stay(
    tmp_path: Path, tone_store: FeatureStore, train_params: TrainParams
) -> None:
    folder = work_folder(tmp_path / "model")
    folder.mkdir()
    (folder / ".checkpoint-abcdefgh.npz").write_bytes(b"half")

    finished(tone_store, train_params.model_copy(update={"steps": 6}), tmp_path)

    assert not folder.exists()


KILLED = """
import json, os, signal, sys
from pathlib import Path
from model.params import TrainParams
from model.training.train import train
from pipeline.store import FeatureStore
store, folder, params, last = FeatureStore.open(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
def progressed(steps, total_steps, latest):
    if steps == last:
        os.kill(os.getpid(), signal.SIGKILL)
train(store, TrainParams.model_validate_json(params), folder / "model", folder / "report", progressed, print)
"""


def run_killed(store: FeatureStore, params: TrainParams, folder: Path, step: int) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-c", KILLED, store.storage.url, str(folder), params.model_dump_json(), str(step)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in (0, -signal.SIGKILL), result.stderr
    return result.returncode, result.stdout


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tone_store: FeatureStore, train_params: TrainParams) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run_killed(tone_store, train_params, folder, 0)[0] == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_training_killed_at_random_steps_ends_with_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, undisturbed: Path, tone_store: FeatureStore, train_params: TrainParams, seed: int
) -> None:
    first, second = sorted(random.Random(seed).sample(range(1, STEPS + 1), 2))

    assert run_killed(tone_store, train_params, tmp_path / "killed", first) == (-signal.SIGKILL, "")
    assert not (tmp_path / "killed" / "model").exists()
    _, told = run_killed(tone_store, train_params, tmp_path / "killed", second)
    status, _ = run_killed(tone_store, train_params, tmp_path / "killed", 0)

    assert status == 0
    whole = (first - 1) // STEPS_PER_EPOCH * STEPS_PER_EPOCH
    assert told == (f"Resuming at step {whole} of {STEPS}.\n" if whole else "")
    for folder in ("model", "report"):
        assert files_of(tmp_path / "killed" / folder) == files_of(undisturbed / folder)
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {"model", "report"}
