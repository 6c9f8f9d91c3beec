"""Whatever happens to a store or a bundle: every reader gives what the intact one gives, or an error that says what to do."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import bonafide
import tests.support.tone_store as tones
from model.bundle import Bundle, load_bundle
from model.dataset import store_errors, training_batches
from model.evaluation.evaluate import evaluate
from model.params import TrainParams
from model.scoring.scorer import SCORED_COLUMNS
from pipeline.errors import BonafideError
from pipeline.store import FeatureStore
from pipeline.store.verify import verify
from tests.support import damages
from tests.support.parameters import ProjectParams
from tests.support.synthetic_store import files_of
from tests.support.trained_model import Trained

# The full counts, 300 stores and 60 bundles, take six minutes.
STORES = int(os.environ.get("BONAFIDE_STORE_DAMAGES", "100"))
BUNDLES = int(os.environ.get("BONAFIDE_BUNDLE_DAMAGES", "60"))
FEW_STORES, FEW_BUNDLES = 17, 12
STEPS = 3


@pytest.fixture(scope="module")
def params() -> ProjectParams:
    return tones.tone_params(n_twins=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, params: ProjectParams) -> Path:
    folder = tmp_path_factory.mktemp("intact") / "store"
    tones.write_tone_store(folder, tones.tone_manifest(), params)
    return folder


def batches_of(store: Path, params: TrainParams) -> Any:
    """What the first steps of `train` read: batches, statistics, the windows of dev."""
    opened = FeatureStore.open(store)
    with store_errors():
        batches = [
            part.numpy().tobytes() for batch in islice(training_batches(opened, params), STEPS) for part in batch
        ]
    return batches, opened.statistics.mean.tolist(), opened.statistics.deviation.tolist()


def gets_of(store: Path) -> Any:
    opened = FeatureStore.open(store)
    keys = [("LA_T_0000003", copy) for copy in range(4)] + [("LA_D_0000001", 0), ("LA_E_0000002", 0)]
    return [repr(example) + example.features.tobytes().hex() for example in (opened.get(*key) for key in keys)]


def evaluation_of(store: Path, bundle: Bundle, params: ProjectParams, output: Path) -> Any:
    few = params.evaluate.model_copy(update={"intervals": 0, "robustness_clips": 0})
    evaluate(FeatureStore.open(store, SCORED_COLUMNS), bundle, few, output)
    return {name: content for name, content in files_of(output).items() if name.endswith((".txt", ".json", ".csv"))}


def outcome(read: Callable[[], Any]) -> Any:
    """What a reader gives, or its error; any other exception is a traceback for the user, and fails the test."""
    try:
        return read()
    except BonafideError as error:
        if "`bonafide " not in str(error) and "was cut" not in str(error):
            pytest.fail(f"no remedy: {error}")
        return error


def check_stores(
    count: int, store: Path, bundle: Bundle, params: ProjectParams, folder: Path
) -> Counter[tuple[str, str, str]]:
    """Damages the store `count` times; gives how often each reader refused or read on, by kind of damage."""
    found: Counter[tuple[str, str, str]] = Counter()
    manifest = tones.tone_manifest()
    readers: dict[str, Callable[[Path], Any]] = {
        "get": gets_of,
        "train": lambda path: batches_of(path, params.train),
        "evaluate": lambda path: evaluation_of(path, bundle, params, folder / "evaluation"),
    }
    right = {name: read(store) for name, read in readers.items()}
    for seed, damage in damages.damages(damages.STORE_DAMAGES, count):
        damaged = folder / "damaged"
        shutil.copytree(store, damaged)
        damage(damaged, random.Random(seed))
        if files_of(damaged) == files_of(store):
            found[damage.__name__, "verify", "no damage"] += 1
        else:
            findings = outcome(lambda path=damaged: verify(path, manifest))
            assert findings, f"seed {seed}, {damage.__name__}: verify finds nothing"
            for name, read in readers.items():
                got = outcome(lambda read=read, path=damaged: read(path))
                if not isinstance(got, BonafideError):
                    assert got == right[name], (
                        f"seed {seed}, {damage.__name__}: {name} reads other data and says nothing"
                    )
                found[damage.__name__, name, "refused" if isinstance(got, BonafideError) else "right"] += 1
        shutil.rmtree(damaged)
    return found


def test_a_damaged_store_is_refused_or_read_right(
    store: Path, bundle: Bundle, params: ProjectParams, tmp_path: Path
) -> None:
    found = check_stores(FEW_STORES, store, bundle, params, tmp_path)
    assert {damage for damage, *_ in found} == {damage.__name__ for damage in damages.STORE_DAMAGES}


@pytest.mark.slow
def test_any_damaged_store_is_refused_or_read_right(
    store: Path, bundle: Bundle, params: ProjectParams, tmp_path: Path
) -> None:
    found = check_stores(STORES, store, bundle, params, tmp_path)
    print(*(f"{number:4} {' '.join(case)}" for case, number in sorted(found.items())), sep="\n")


@pytest.mark.parametrize(
    "damage",
    [damages.emptied_shard, damages.dropped_last_record, damages.ten_times, damages.train_replaced_by_eval],
)
@pytest.mark.parametrize("command", ["train", "crossval", "evaluate", "validate"])
def test_a_command_names_the_shard_and_the_remedy(
    store: Path, trained: Trained, tmp_path: Path, command: str, damage: damages.Damage
) -> None:
    damaged = Path(shutil.copytree(store, tmp_path / "store"))
    damage(damaged, random.Random(5))
    params = tmp_path / "params.yaml"
    params.write_text(json_of(trained.params))
    arguments = [command, "--store", str(damaged), "--output", str(tmp_path / "output")]
    arguments += [] if command == "validate" else ["--params", str(params)]
    arguments += ["--model", str(trained.model)] if command == "evaluate" else []
    arguments += ["--report", str(tmp_path / "report")] if command in ("train", "crossval") else []

    result = CliRunner().invoke(bonafide.app, arguments)

    assert isinstance(result.exception, BonafideError), result.output
    assert result.exception.exit_code == 1
    assert "shard " in str(result.exception)
    assert "bonafide features" in str(result.exception)
    assert "\n" not in str(result.exception)


def test_full_verification_finds_what_opening_does_not(store: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(store, tmp_path / "store"))
    path = next((damaged / "eval").iterdir())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    arguments = ["validate", "--store", str(damaged), "--output", str(tmp_path / "data")]

    assert CliRunner().invoke(bonafide.app, arguments).exit_code == 0
    result = CliRunner().invoke(bonafide.app, [*arguments, "--verify", "full"])
    assert isinstance(result.exception, BonafideError)
    assert f"shard {path.stem} is damaged" in str(result.exception)


def json_of(params: ProjectParams) -> str:
    return params.model_dump_json()


# Bundles


def check_bundles(count: int, trained: Trained, folder: Path) -> None:
    """Damages the bundle `count` times; each time it is refused, or scores as before."""
    clip = folder / "clip.wav"
    soundfile.write(clip, tones.tone("LA_E_0000002", bona_fide=False), 16000)
    score = ["score", str(clip), "--json", "--params", str(folder / "params.yaml"), "--model"]
    (folder / "params.yaml").write_text(json_of(trained.params))
    right = CliRunner().invoke(bonafide.app, [*score, str(trained.model)])
    assert right.exit_code == 0
    for seed, damage in damages.damages(damages.BUNDLE_DAMAGES, count):
        damaged = folder / "damaged"
        shutil.copytree(trained.model, damaged)
        damage(damaged, random.Random(seed))
        case = f"seed {seed}, {damage.__name__}"
        got = outcome(lambda path=damaged: load_bundle(path))
        result = CliRunner().invoke(bonafide.app, [*score, str(damaged)])
        if isinstance(got, BonafideError):
            assert str(result.exception) == str(got), case
        else:
            # Such as "1E-05" for "1e-05".
            assert result.stdout == right.stdout, f"{case}: other scores"
            assert np.array_equal(got.network.get_weights()[0], load_bundle(trained.model).network.get_weights()[0])
        shutil.rmtree(damaged)


def test_a_damaged_bundle_is_refused_or_scores_as_before(trained: Trained, tmp_path: Path) -> None:
    check_bundles(FEW_BUNDLES, trained, tmp_path)


@pytest.mark.slow
def test_any_damaged_bundle_is_refused_or_scores_as_before(trained: Trained, tmp_path: Path) -> None:
    check_bundles(BUNDLES, trained, tmp_path)
