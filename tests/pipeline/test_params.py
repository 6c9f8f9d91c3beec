import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pipeline.errors import ParamsError
from pipeline.parameter_file import parse_params
from pipeline.params import Params, load_params
from tests.support.front_ends import LOG_LINEAR, LOG_MEL
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
    ("data.root", "", "at least 1 character"),
    ("data.root", 3, "valid string"),
    ("data.root", None, "valid string"),
    ("data.limit", 0, "greater than or equal to 1"),
    ("data.limit", "ten", "valid integer"),
    ("data.limit", 2.5, "valid integer"),
    ("features.sample_rate", 16000.5, "valid integer"),
    ("features.sample_rate", "16000", "valid integer"),
    ("features.sample_rate", 3999, "greater than or equal to 4000"),
    ("features.sample_rate", 200000, "less than or equal to 192000"),
    ("features.n_fft", 16, "greater than or equal to 32"),
    ("features.hop_length", 0, "greater than or equal to 1"),
    ("features.n_mels", 0, "greater than or equal to 1"),
    ("features.n_mels", 513, "less than or equal to 512"),
    ("features.n_mels", True, "valid integer"),
    ("features.f_min", -1.0, "greater than or equal to 0"),
    ("features.floor_db", 1.0, "less than or equal to 0"),
    ("features.min_duration_s", -0.1, "greater than or equal to 0"),
    ("features.silence_db", -201.0, "greater than or equal to -200"),
    ("features.max_reject_fraction", 1.1, "less than or equal to 1"),
    ("features.max_reject_fraction", float("nan"), ""),
    ("augment.copies", -1, "greater than or equal to 0"),
    ("augment.copies", 101, "less than or equal to 100"),
    ("augment.seed", -1, "greater than or equal to 0"),
    ("augment.pitch_shift.probability", 1.5, "less than or equal to 1"),
    ("augment.pitch_shift.probability", "often", "valid number"),
    ("augment.pitch_shift.semitones", [2.0, -2.0], "the lower bound 2.0 is above the upper bound -2.0"),
    ("augment.pitch_shift.semitones", 2.0, "valid tuple"),
    ("augment.noise.kinds", [], "at least 1 item"),
    ("store.shards", 0, "greater than or equal to 1"),
    ("store.shards", "many", "'auto'"),
    ("store.shards", 100000, "less than or equal to 99999"),
    ("store.target_shard_mib", 0.0, "greater than 0"),
]


@pytest.fixture(scope="session")
def defaults() -> dict[str, Any]:
    """The pipeline's sections of the project's own params.yaml, with a log-Mel front end."""
    content = {
        key: value for key, value in project_parameters().items() if key not in ("crossval", "train", "evaluate")
    }
    return content | {"features": LOG_MEL.model_dump()}


def parsed(content: Any) -> Params:
    return parse_params(content, "params.yaml", Params)


def test_the_project_s_own_parameters_are_allowed(repository: Path) -> None:
    params = load_params(repository / "params.yaml")
    assert params.features.sample_rate == 16000
    assert params.augment.noise.kinds == ("white", "pink", "babble")


def test_parameters_cannot_be_changed_after_reading(repository: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_params(repository / "params.yaml").features.sample_rate = 8000


def test_whole_numbers_are_fine_where_fractions_are_meant(defaults: dict[str, Any]) -> None:
    params = parsed(with_value(defaults, "augment.time_stretch.rate", [1, 2]))
    assert params.augment.time_stretch.rate == (1.0, 2.0)


def test_no_limit_is_null_or_absent(defaults: dict[str, Any]) -> None:
    assert parsed(without(defaults, "data.limit")).data.limit is None
    assert parsed(with_value(defaults, "data.limit", 5)).data.limit == 5


@pytest.mark.parametrize(("key", "value", "allowed"), NOT_ALLOWED, ids=lambda value: str(value)[:30])
def test_a_refused_value_is_told_with_its_key_and_what_is_allowed(
    defaults: dict[str, Any], key: str, value: Any, allowed: str
) -> None:
    require_refused_value(defaults, Params, key, value, allowed)


@pytest.mark.parametrize(
    ("key", "value", "position", "allowed"),
    [
        ("augment.pitch_shift.semitones", [-30.0, 2.0], "0", "greater than or equal to -24"),
        ("augment.time_stretch.rate", [0.9, 5.0], "1", "less than or equal to 4"),
        ("augment.time_stretch.rate", [0.9, "fast"], "1", "valid number"),
        ("augment.noise.snr_db", [-21.0, 5.0], "0", "greater than or equal to -20"),
        ("augment.noise.kinds", ["white", "brown"], "1", "'white', 'pink' or 'babble'"),
    ],
)
def test_a_refused_item_of_a_list_is_told_with_its_position(
    defaults: dict[str, Any], key: str, value: list[Any], position: str, allowed: str
) -> None:
    require_refused_item(defaults, Params, key, value, position, allowed)


@pytest.mark.parametrize(
    ("key", "value"), [("augment.pitch_shift.semitones", [1.0]), ("augment.pitch_shift.semitones", [1.0, 2.0, 3.0])]
)
def test_a_range_needs_two_bounds(defaults: dict[str, Any], key: str, value: list[float]) -> None:
    assert f"  {key}" in refusal(with_value(defaults, key, value), Params)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"win_length": 1024}, "win_length 1024 must not exceed n_fft 512"),
        ({"hop_length": 401}, "hop_length 401 must not exceed win_length 400"),
        ({"f_max": 8001.0}, "f_max 8001.0 must not exceed half the sample rate, 8000.0"),
        ({"f_min": 8000.0}, "f_min 8000.0 must be below f_max 8000.0"),
    ],
)
def test_values_that_contradict_each_other_are_named(
    defaults: dict[str, Any], changes: dict[str, Any], told: str
) -> None:
    for name, value in changes.items():
        defaults = with_value(defaults, f"features.{name}", value)
    message = refusal(defaults, Params)
    assert message.splitlines()[1] == f"  features: {told}"


@pytest.mark.parametrize(
    ("key", "of_kind", "known"),
    [
        ("features.hop", " for kind log_mel", "hop_length"),
        ("augment.noise.level", "", "snr_db"),
        ("learning_rate", "", "train"),
        ("data.limits", "", "limit"),
    ],
)
def test_an_unknown_key_is_told_with_the_known_ones(
    defaults: dict[str, Any], key: str, of_kind: str, known: str
) -> None:
    line = refusal(with_value(defaults, key, 1), Params).splitlines()[1]
    assert line.startswith(f"  {key}: unknown key{of_kind}; known here: ")
    assert known in line


def test_a_key_that_the_kind_of_front_end_does_not_have_is_told_with_the_kind(defaults: dict[str, Any]) -> None:
    line = refusal(with_value(defaults, "features.kind", "log_linear"), Params).splitlines()[1]
    assert line.startswith("  features.n_mels: unknown key for kind log_linear; known here: ")
    known = line.partition("known here: ")[2].split(", ")
    assert {"kind", "f_min", "n_fft"} <= set(known)
    assert "n_mels" not in known


def test_the_keys_of_a_kind_are_checked_as_its_own(defaults: dict[str, Any]) -> None:
    content = {**defaults, "features": LOG_LINEAR.model_dump()}
    assert parsed(content).features == LOG_LINEAR
    assert refusal(without(content, "features.f_min"), Params).splitlines()[1:] == ["  features.f_min: is missing"]
    require_refused_value(content, Params, "features.n_fft", 16, "greater than or equal to 32")
    narrow = with_value(with_value(content, "features.f_min", 6970.0), "features.f_max", 6990.0)
    assert "no FFT bin lies between f_min 6970.0 and f_max 6990.0" in refusal(narrow, Params)


@pytest.mark.parametrize("kind", ["mfcc", "", 3, None, ["log_mel"], {}])
def test_an_unknown_kind_of_front_end_is_told_with_the_known_ones(defaults: dict[str, Any], kind: Any) -> None:
    require_refused_value(defaults, Params, "features.kind", kind, "Input should be 'log_mel'")


def test_without_a_kind_the_front_end_is_log_mel(defaults: dict[str, Any]) -> None:
    assert parsed(without(defaults, "features.kind")) == parsed(defaults)
    assert parsed(defaults).features.kind == "log_mel"


def test_every_key_but_the_limit_must_be_there(defaults: dict[str, Any]) -> None:
    for key in leaves(defaults):
        if key not in (
            "data.bonafide_number",
            "data.layout",
            "data.limit",
            "data.link_targets",
            "data.shared_audio",
            "features.kind",
            "features.level_dbfs",
            "features.max_duration_s",
        ):
            assert refusal(without(defaults, key), Params).splitlines()[1:] == [f"  {key}: is missing"]


@pytest.mark.parametrize("key", ["features", "augment.noise"])
@pytest.mark.parametrize("value", [None, 3, "x", [1]])
def test_a_section_that_is_none_is_told(defaults: dict[str, Any], key: str, value: Any) -> None:
    assert f"\n  {key}: {value!r}: " in refusal(with_value(defaults, key, value), Params)


@pytest.mark.parametrize("content", [None, [], "text", 3])
def test_a_file_without_sections_is_told(content: Any) -> None:
    assert "expected sections such as data, features and train" in refusal(content, Params)


def test_long_values_are_shortened(defaults: dict[str, Any]) -> None:
    assert len(refusal(with_value(defaults, "store.shards", "x" * 5000), Params)) < 500


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ParamsError, match=re.escape(str(tmp_path / "p.yaml")) + r": no such parameter file; .*--params"
    ):
        load_params(tmp_path / "p.yaml")


@pytest.mark.parametrize("content", [b"data: [", b"\xff\xfe\x00", b"a: b: c", b"\x00"])
def test_a_file_that_is_not_yaml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ParamsError, match=re.escape(str(path)) + ": cannot be read as YAML"):
        load_params(path)


@pytest.mark.parametrize(("command", "key"), [("manifest", "data.limit"), ("features", "features.n_mels")])
def test_the_command_line_ends_with_code_2_and_touches_nothing(
    defaults: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_bonafide: Any, command: str, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(with_value(defaults, key, 0)))
    code, output = run_bonafide(command)
    assert code == 2
    assert f"{key}: 0: Input should be greater than or equal to 1" in output
    assert "Traceback" not in output
    assert [path.name for path in tmp_path.rglob("*")] == ["params.yaml"]


LFCC = {"kind": "lfcc", "n_fft": 512, "win_length": 400, "hop_length": 160}


def with_members(folder: Path, members: Any) -> Path:
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(project_parameters() | {"members": members}))
    return file


def test_a_member_changes_the_keys_that_it_names_and_no_others(repository: Path, tmp_path: Path) -> None:
    changes = {"augment": {"copies": 2, "codec": {"probability": 1.0}}, "features": {"f_max": 7000.0}}
    main = load_params(repository / "params.yaml")
    file = with_members(tmp_path, {"other": changes, "same": {}})
    found = load_params(file, "other")
    assert (found.augment.copies, found.augment.codec.probability, found.features.f_max) == (2, 1.0, 7000.0)
    assert found.augment.codec.kinds == main.augment.codec.kinds
    assert found.features.n_fft == main.features.n_fft
    assert found.data == main.data
    assert load_params(file, "same").features == main.features == load_params(file).features


def test_a_front_end_of_another_kind_is_taken_whole(tmp_path: Path) -> None:
    whole = {**project_parameters()["features"], "kind": "lfcc", "n_filters": 40, "n_coefficients": 20, "deltas": 1}
    found = load_params(with_members(tmp_path, {"lfcc": {"features": whole}}), "lfcc")
    assert (found.features.kind, found.features.n_bins) == ("lfcc", 40)
    with pytest.raises(
        ParamsError, match=r"members\.lfcc: \d+ parameters not allowed\n(.*\n)*  features\.sample_rate: is missing"
    ):
        load_params(with_members(tmp_path, {"lfcc": {"features": LFCC}}), "lfcc")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "members has no entry lfcc; there is none"),
        (None, "members has no entry lfcc; there is none"),
        ({"cqt": {}, "dct": {}}, "members has no entry lfcc; there is cqt, dct"),
        ({"lfcc": None}, r"members\.lfcc: None: expected changes of features, augment, store, crossval, train"),
        ({"lfcc": {"data": {"root": "x"}}}, r"members\.lfcc: .*expected changes of features"),
        ({"lfcc": {"augment": {"copies": -1}}}, r"members\.lfcc: 1 parameter not allowed\n  augment\.copies: -1"),
    ],
)
def test_a_member_that_is_not_there_or_not_allowed_is_named(tmp_path: Path, members: Any, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        load_params(with_members(tmp_path, members), "lfcc")
