from pathlib import Path

import pytest
import yaml

from model.params import load_params
from pipeline.errors import ParamsError


def test_xla_with_deterministic_kernels_is_refused(tmp_path: Path) -> None:
    params = yaml.safe_load((Path(__file__).resolve().parents[3] / "params.yaml").read_text())
    params["train"] |= {"jit_compile": True, "deterministic": True}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))

    with pytest.raises(ParamsError, match=r"train.*jit_compile true needs deterministic false"):
        load_params(path)

    params["train"]["deterministic"] = False
    path.write_text(yaml.safe_dump(params))
    assert load_params(path).train.jit_compile
