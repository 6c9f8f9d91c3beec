"""The sections `train` and `evaluate` of params.yaml; the others are in tests/pipeline/test_params.py."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from model.params import Params, load_fusion, load_params
from pipeline.errors import ParamsError
from pipeline.parameter_file import parse_params
from tests.support.child_process import run_script
from tests.support.parameters import (
    leaves,
    project_parameters,
    refusal,
    require_refused_item,
    require_refused_value,
    with_value,
    without,
)

# (key, value that is not allowed, what the message must say beside key and value)
NOT_ALLOWED = [
    ("train.network", "vgg", "'cnn', 'lcnn' or 'resnet'"),
    ("train.pooling", "max", "'average', 'statistics' or 'attention'"),
    ("train.loss", "hinge", "'binary_crossentropy', 'focal' or 'one_class_softmax'"),
    ("train.l2", -1e-4, "greater than or equal to 0"),
    ("train.label_smoothing", 1.0, "less than 1"),
    ("train.focal_gamma", -1.0, "greater than or equal to 0"),
    ("train.one_class_alpha", 0.0, "greater than 0"),
    ("train.one_class_margins", [0.9, 0.2], "the lower bound 0.9 is above the upper bound 0.2"),
    ("train.steps_per_execution", 0, "greater than or equal to 1"),
    ("train.steps", 0, "greater than or equal to 1"),
    ("train.schedule", "linear", "'cosine' or 'constant'"),
    ("train.warmup", 1.0, "less than 1"),
    ("train.clip_norm", -1.0, "greater than or equal to 0"),
    ("train.weight_average", 1.0, "less than 1"),
    ("train.keep", "all", "'last' or 'best'"),
    ("train.twin_share", 1.5, "less than or equal to 1"),
    ("train.gain_db", -1.0, "greater than or equal to 0"),
    ("train.learning_rate", 0.0, "greater than 0"),
    ("train.learning_rate", 2.0, "less than or equal to 1"),
    ("train.crop_s", 0.0, "greater than 0"),
    ("train.class_balance", "both", "'sample', 'weight' or 'none'"),
    ("train.channels", [], "at least 1 item"),
    ("train.channels", [8] * 9, "at most 8 items"),
    ("train.dropout", 1.0, "less than 1"),
    ("train.mixed_precision", "yes", "'auto'"),
    ("train.mixed_precision", 1, "'auto'"),
    ("train.devices", 0, "greater than or equal to 1"),
    ("train.devices", "all", "'auto'"),
    ("evaluate.interval_clusters", "voice", "'auto', 'none', 'speaker' or 'attack'"),
    ("crossval.folds", -1, "greater than or equal to 0"),
    ("crossval.seed", -1, "greater than or equal to 0"),
    ("evaluate.prior", 0.0, "greater than 0"),
    ("evaluate.prior", 1.0, "less than 1"),
    ("evaluate.abstain_error_rate", -0.1, "greater than or equal to 0"),
]


@pytest.fixture(scope="session")
def defaults() -> dict[str, Any]:
    """The content of the project's own params.yaml."""
    return project_parameters()


def test_the_project_s_own_parameters_are_allowed(repository: Path) -> None:
    assert load_params(repository / "params.yaml").evaluate.prior == 0.5


@pytest.mark.parametrize("value", ["auto", True, False])
def test_mixed_precision_is_automatic_or_forced(defaults: dict[str, Any], value: Any) -> None:
    content = with_value(defaults, "train.mixed_precision", value)
    assert parse_params(content, "p", Params).train.mixed_precision is value


@pytest.mark.parametrize("text", ["1e-05", "1E-5", "1.0e-05", "0.00001", ".1e-4", "+1e-5"])
def test_small_rates_may_be_written_as_dvc_writes_them(repository: Path, tmp_path: Path, text: str) -> None:
    lines = (repository / "params.yaml").read_text().splitlines()
    changed = [f"  learning_rate: {text}" if line.startswith("  learning_rate:") else line for line in lines]
    (tmp_path / "params.yaml").write_text("\n".join(changed))
    assert load_params(tmp_path / "params.yaml").train.learning_rate == 1e-5


@pytest.mark.parametrize(("key", "value", "allowed"), NOT_ALLOWED, ids=lambda value: str(value)[:30])
def test_a_refused_value_is_told_with_its_key_and_what_is_allowed(
    defaults: dict[str, Any], key: str, value: Any, allowed: str
) -> None:
    require_refused_value(defaults, Params, key, value, allowed)


@pytest.mark.parametrize(
    ("key", "value", "position", "allowed"),
    [
        ("train.channels", [16, 0], "1", "greater than or equal to 1"),
        ("train.channels", [16, "32"], "1", "valid integer"),
    ],
)
def test_a_refused_item_of_a_list_is_told_with_its_position(
    defaults: dict[str, Any], key: str, value: list[Any], position: str, allowed: str
) -> None:
    require_refused_item(defaults, Params, key, value, position, allowed)


REFUSED = """
import json, sys
from pathlib import Path
from model.params import load_params
from pipeline.errors import ParamsError
try:
    load_params(Path(sys.argv[1]))
except ParamsError as error:
    print(json.dumps([str(error), sorted({"keras", "tensorflow"} & sys.modules.keys())]))
"""


@pytest.mark.parametrize("key", ["network", "pooling", "loss"])
def test_an_unknown_name_is_refused_before_tensorflow_is_loaded(repository: Path, tmp_path: Path, key: str) -> None:
    lines = (repository / "params.yaml").read_text().splitlines()
    changed = [f"  {key}: toy" if line.startswith(f"  {key}:") else line for line in lines]
    (tmp_path / "params.yaml").write_text("\n".join(changed))

    message, loaded = run_script(REFUSED, str(tmp_path / "params.yaml"))

    assert message.startswith(f"{tmp_path / 'params.yaml'}: 1 parameter not allowed\n  train.{key}: 'toy': ")
    assert loaded == []


def test_every_key_must_be_there(defaults: dict[str, Any]) -> None:
    for section in ("crossval", "train", "evaluate"):
        for key in leaves(defaults[section], f"{section}."):
            assert refusal(without(defaults, key), Params).splitlines()[1:] == [f"  {key}: is missing"]


def test_all_refused_keys_are_listed_at_once(defaults: dict[str, Any]) -> None:
    content = with_value(without(defaults, "train.seed"), "data.limit", 0)
    message = refusal(with_value(content, "evaluate.colour", "red"), Params)
    assert message.startswith("params.yaml: 3 parameters not allowed")
    for key in ("train.seed", "data.limit", "evaluate.colour"):
        assert f"\n  {key}: " in message


@pytest.mark.parametrize("key", ["train", "evaluate"])
@pytest.mark.parametrize("value", [None, 3, "x", [1]])
def test_a_section_that_is_none_is_told(defaults: dict[str, Any], key: str, value: Any) -> None:
    assert f"\n  {key}: {value!r}: " in refusal(with_value(defaults, key, value), Params)


def test_xla_with_deterministic_kernels_is_refused(defaults: dict[str, Any]) -> None:
    content = with_value(with_value(defaults, "train.jit_compile", True), "train.deterministic", True)
    with pytest.raises(ParamsError, match=r"train.*jit_compile true needs deterministic false"):
        parse_params(content, "p", Params)

    assert parse_params(with_value(content, "train.deterministic", False), "p", Params).train.jit_compile


@pytest.mark.parametrize(
    ("folds", "leave_out", "message"),
    [
        (2, [["A01"]], "leave_out lists 1 folds, but folds is 2"),
        (2, [["A01"], []], "at least 1 item"),
    ],
)
def test_folds_that_contradict_each_other_are_refused(
    defaults: dict[str, Any], folds: int, leave_out: Any, message: str
) -> None:
    content = with_value(with_value(defaults, "crossval.folds", folds), "crossval.leave_out", leave_out)
    assert message in refusal(content, Params)


@pytest.mark.parametrize(
    ("folds", "leave_out"), [(0, None), (1, None), (0, [["A01"]]), (1, [["A01", "A02"]]), (3, None)]
)
def test_folds_are_dealt_listed_or_off(defaults: dict[str, Any], folds: int, leave_out: Any) -> None:
    content = with_value(with_value(defaults, "crossval.folds", folds), "crossval.leave_out", leave_out)
    assert parse_params(content, "p", Params).crossval.folds == folds


def test_other_ids_of_attacks_are_stated_as_a_mapping(defaults: dict[str, Any]) -> None:
    content = with_value(defaults, "evaluate.attack_aliases", {"A16": "A04"})
    assert parse_params(content, "p", Params).evaluate.attack_aliases == {"A16": "A04"}
    assert "attack_aliases" in refusal(with_value(defaults, "evaluate.attack_aliases", ["A16"]), Params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 150, "steps_per_epoch": 100}, "steps 150 must be a multiple of steps_per_epoch 100"),
        ({"steps_per_execution": 7}, "steps_per_epoch 100 must be a multiple of steps_per_execution 7"),
        ({"keep": "last", "patience": 5}, "patience needs keep best"),
    ],
)
def test_lengths_that_do_not_fit_each_other_are_refused(
    defaults: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    assert message in refusal({**defaults, "train": {**defaults["train"], **changes}}, Params)


def test_further_test_sets_have_a_name_a_root_a_layout_and_a_split(defaults: dict[str, Any]) -> None:
    entry = {"root": "data/raw/wild", "layout": "auto", "split": "eval"}

    def parsed(corpora: Any) -> dict[str, Any]:
        return parse_params(with_value(defaults, "evaluate.corpora", corpora), "p", Params).evaluate.corpora

    assert parsed({"in_the_wild": entry})["in_the_wild"].root == "data/raw/wild"
    assert not parsed({"a": entry})["a"].same_attack_ids
    for name in ("eval", "dev", "eval_seen", "../x", "a b", "x" * 25, ""):
        assert "corpora" in refusal(with_value(defaults, "evaluate.corpora", {name: entry}), Params), name
    for missing in entry:
        rest = {key: value for key, value in entry.items() if key != missing}
        assert missing in refusal(with_value(defaults, "evaluate.corpora", {"a": rest}), Params)
    assert "split" in refusal(with_value(defaults, "evaluate.corpora", {"a": {**entry, "split": "test"}}), Params)


def test_a_fusion_names_members_that_are_there(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"

    def loaded(fusions: Any, name: str = "all") -> tuple[str, ...]:
        file.write_text(yaml.safe_dump({"members": {"lfcc": {}, "cqt": {}}, "fusions": fusions}))
        return load_fusion(file, name)

    assert loaded({"all": ["lfcc", "cqt"], "one": ["cqt"]}) == ("lfcc", "cqt")
    for fusions, message in (
        ({"all": ["lfcc", "mfcc"]}, "fusions.all: members has no entry mfcc"),
        ({"all": []}, "at least 1 item"),
        ({"all": ["lfcc", "lfcc"]}, "fusions.all: a member is named twice"),
        ({"../all": ["lfcc"]}, "pattern"),
        ({"one": ["lfcc"]}, "fusions has no entry all; there is one"),
        ({}, "fusions has no entry all; there is none"),
    ):
        with pytest.raises(ParamsError, match=message):
            loaded(fusions)
    file.write_text(yaml.safe_dump({"members": {"main": {}}, "fusions": {"all": ["main"]}}))
    with pytest.raises(ParamsError, match=r"members\.main: the network of train has this name"):
        load_fusion(file, "all")


def test_a_member_is_trained_by_its_own_parameters(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    member = {"train": {"time_mask": 15, "channels": [4, 8]}, "crossval": {"folds": 0}}
    file.write_text(yaml.safe_dump(project_parameters() | {"members": {"lfcc": member}}))
    main, found = load_params(file), load_params(file, "lfcc")
    assert found.train == main.train.model_copy(update={"time_mask": 15, "channels": (4, 8)})
    assert (found.crossval.folds, found.evaluate) == (0, main.evaluate)
