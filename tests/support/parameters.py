"""Contents of params.yaml with one key changed or left out, and the message that refuses them."""

import copy
from typing import Any

import pytest
import yaml

from model.params import CrossvalParams, EvaluateParams, TrainParams
from pipeline.errors import ParamsError
from pipeline.parameter_file import parse_params, read_params
from pipeline.params import Params
from pipeline.section import Section
from tests.support.front_ends import REPOSITORY


class ProjectParams(Params):
    """All sections of params.yaml."""

    crossval: CrossvalParams
    train: TrainParams
    evaluate: EvaluateParams


def load_project_params() -> ProjectParams:
    """The project's own parameters."""
    return read_params(REPOSITORY / "params.yaml", ProjectParams)


def project_parameters() -> dict[str, Any]:
    """The content of the project's own params.yaml."""
    content: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    return content


def with_value(content: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The content with another value for a key, such as "train.seed"."""
    content = copy.deepcopy(content)
    _section(content, key)[key.rpartition(".")[2]] = value
    return content


def without(content: dict[str, Any], key: str) -> dict[str, Any]:
    """The content without a key, whether it has it or not."""
    content = copy.deepcopy(content)
    _section(content, key).pop(key.rpartition(".")[2], None)
    return content


def leaves(content: dict[str, Any], prefix: str = "") -> list[str]:
    """Every key that has a value of its own."""
    found = []
    for key, value in content.items():
        found += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return found


def refusal(content: Any, model: type[Section]) -> str:
    """The message that refuses a content."""
    with pytest.raises(ParamsError) as caught:
        parse_params(content, "params.yaml", model)
    return str(caught.value)


def require_refused_value(content: dict[str, Any], model: type[Section], key: str, value: Any, allowed: str) -> None:
    """Makes sure that a value is refused on one line with the key, the value and what is allowed."""
    message = refusal(with_value(content, key, value), model)
    assert message.startswith("params.yaml: 1 parameter not allowed\n")
    line = message.splitlines()[1]
    assert line.startswith(f"  {key}: {value!r}"[:60])
    assert allowed in line
    assert len(message.splitlines()) == 2


def require_refused_item(
    content: dict[str, Any], model: type[Section], key: str, value: list[Any], position: str, allowed: str
) -> None:
    """Makes sure that an item of a list is refused with its position."""
    line = refusal(with_value(content, key, value), model).splitlines()[1]
    assert line.startswith(f"  {key}.{position}: {value[int(position)]!r}")
    assert allowed in line


def _section(content: dict[str, Any], key: str) -> dict[str, Any]:
    for part in key.split(".")[:-1]:
        content = content[part]
    return content
