"""Packages that only some augmentation needs: which parameters ask for them, and a run without them."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.augmentation.copy_synthesis import neural_vocoder
from pipeline.augmentation.copy_synthesis.params import CopySynthesisParams
from pipeline.corpus.schema import MANIFEST_SCHEMA
from pipeline.errors import ParamsError
from pipeline.job.plan import plan_run
from pipeline.params import Params
from pipeline.store import lineage
from tests.support.synthetic_store import manifest_row, small_params


def with_aac(copies: int = 1, probability: float = 0.5) -> Params:
    params = small_params()
    codec = params.augment.codec.model_copy(update={"kinds": ("mu_law", "aac"), "probability": probability})
    return params.model_copy(update={"augment": params.augment.model_copy(update={"copies": copies, "codec": codec})})


def test_aac_alone_needs_an_optional_package() -> None:
    assert small_params().augment.libraries == ()
    assert with_aac().augment.libraries == ("av",)
    assert with_aac(copies=0).augment.libraries == with_aac(probability=0.0).augment.libraries == ()


def test_a_run_without_the_package_is_refused_and_one_with_it_has_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = pa.Table.from_pylist([manifest_row("train", number) for number in range(3)], schema=MANIFEST_SCHEMA)
    installed: dict[str, str | None] = {"av": "16.1.0"}
    monkeypatch.setattr(lineage, "_version_if_installed", installed.get)
    with_package = plan_run(manifest, str(tmp_path / "store"), with_aac())
    assert with_package.config.versions["av"] == "16.1.0"
    installed["av"] = None
    with pytest.raises(ParamsError, match=r"aac needs the package av, which is not installed; pip install"):
        plan_run(manifest, str(tmp_path / "store"), with_aac())
    assert "av" not in plan_run(manifest, str(tmp_path / "store"), small_params()).config.versions


def test_damaged_weights_of_the_neural_vocoder_are_found_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = pa.Table.from_pylist([manifest_row("train", number) for number in range(3)], schema=MANIFEST_SCHEMA)
    damaged = tmp_path / "neural_vocoder.npz"
    damaged.write_bytes(neural_vocoder.WEIGHTS_FILE.read_bytes()[:-1])
    monkeypatch.setattr(neural_vocoder, "WEIGHTS_FILE", damaged)
    neural_vocoder.Network.load.cache_clear()
    params = small_params()
    twins = CopySynthesisParams(copies=1, kinds=("lpc", "neural_vocoder"))
    augment = params.augment.model_copy(update={"copy_synthesis": twins})

    with pytest.raises(ParamsError, match="not the weights of this version"):
        plan_run(manifest, str(tmp_path / "store"), params.model_copy(update={"augment": augment}))
    without = augment.model_copy(update={"copy_synthesis": twins.model_copy(update={"copies": 0})})
    assert plan_run(manifest, str(tmp_path / "store"), params.model_copy(update={"augment": without})).shards
