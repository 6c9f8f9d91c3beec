import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from model.params import Params, load_params
from pipeline import params as sections
from pipeline.errors import ParamsError

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
    ("train.epochs", 0, "greater than or equal to 1"),
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
    ("evaluate.interval_clusters", "voice", "'none', 'speaker' or 'attack'"),
    ("evaluate.prior", 0.0, "greater than 0"),
    ("evaluate.prior", 1.0, "less than 1"),
    ("evaluate.abstain_error_rate", -0.1, "greater than or equal to 0"),
]


@pytest.fixture(scope="session")
def defaults(repository: Path) -> dict[str, Any]:
    """The content of the project's own params.yaml."""
    return yaml.safe_load((repository / "params.yaml").read_text())


def parse_params(content: Any, where: str) -> Params:
    return sections.parse_params(content, where, Params)


def with_value(content: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    content = copy.deepcopy(content)
    *sections, name = key.split(".")
    section = content
    for part in sections:
        section = section[part]
    section[name] = value
    return content


def without(content: dict[str, Any], key: str) -> dict[str, Any]:
    content = with_value(content, key, None)
    *sections, name = key.split(".")
    section = content
    for part in sections:
        section = section[part]
    del section[name]
    return content


def leaves(content: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in content.items():
        found += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return found


def refusal(content: Any) -> str:
    with pytest.raises(ParamsError) as caught:
        parse_params(content, "params.yaml")
    return str(caught.value)


def test_the_project_s_own_parameters_are_allowed(repository: Path) -> None:
    params = load_params(repository / "params.yaml")
    assert params.features.sample_rate == 16000
    assert params.augment.noise.kinds == ("white", "pink", "babble")


def test_parameters_cannot_be_changed_after_reading(repository: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_params(repository / "params.yaml").features.sample_rate = 8000


def test_whole_numbers_are_fine_where_fractions_are_meant(defaults: dict[str, Any]) -> None:
    params = parse_params(with_value(defaults, "augment.time_stretch.rate", [1, 2]), "params.yaml")
    assert params.augment.time_stretch.rate == (1.0, 2.0)


@pytest.mark.parametrize("value", ["auto", True, False])
def test_mixed_precision_is_automatic_or_forced(defaults: dict[str, Any], value: Any) -> None:
    assert parse_params(with_value(defaults, "train.mixed_precision", value), "p").train.mixed_precision is value


@pytest.mark.parametrize("text", ["1e-05", "1E-5", "1.0e-05", "0.00001", ".1e-4", "+1e-5"])
def test_small_rates_may_be_written_as_dvc_writes_them(repository: Path, tmp_path: Path, text: str) -> None:
    lines = (repository / "params.yaml").read_text().splitlines()
    changed = [f"  learning_rate: {text}" if line.startswith("  learning_rate:") else line for line in lines]
    (tmp_path / "params.yaml").write_text("\n".join(changed))
    assert load_params(tmp_path / "params.yaml").train.learning_rate == 1e-5


def test_no_limit_is_null_or_absent(defaults: dict[str, Any]) -> None:
    assert parse_params(without(defaults, "data.limit"), "p").data.limit is None
    assert parse_params(with_value(defaults, "data.limit", 5), "p").data.limit == 5


@pytest.mark.parametrize(("key", "value", "allowed"), NOT_ALLOWED, ids=lambda value: str(value)[:30])
def test_a_refused_value_is_told_with_its_key_and_what_is_allowed(
    defaults: dict[str, Any], key: str, value: Any, allowed: str
) -> None:
    message = refusal(with_value(defaults, key, value))
    assert message.startswith("params.yaml: 1 parameter not allowed\n")
    line = message.splitlines()[1]
    assert line.startswith(f"  {key}: {value!r}"[:60])
    assert allowed in line
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    ("key", "value", "position", "allowed"),
    [
        ("augment.pitch_shift.semitones", [-30.0, 2.0], "0", "greater than or equal to -24"),
        ("augment.time_stretch.rate", [0.9, 5.0], "1", "less than or equal to 4"),
        ("augment.time_stretch.rate", [0.9, "fast"], "1", "valid number"),
        ("augment.noise.snr_db", [-21.0, 5.0], "0", "greater than or equal to -20"),
        ("augment.noise.kinds", ["white", "brown"], "1", "'white', 'pink' or 'babble'"),
        ("train.channels", [16, 0], "1", "greater than or equal to 1"),
        ("train.channels", [16, "32"], "1", "valid integer"),
    ],
)
def test_a_refused_item_of_a_list_is_told_with_its_position(
    defaults: dict[str, Any], key: str, value: list[Any], position: str, allowed: str
) -> None:
    line = refusal(with_value(defaults, key, value)).splitlines()[1]
    assert line.startswith(f"  {key}.{position}: {value[int(position)]!r}")
    assert allowed in line


@pytest.mark.parametrize(
    ("key", "value"), [("augment.pitch_shift.semitones", [1.0]), ("augment.pitch_shift.semitones", [1.0, 2.0, 3.0])]
)
def test_a_range_needs_two_bounds(defaults: dict[str, Any], key: str, value: list[float]) -> None:
    assert f"  {key}" in refusal(with_value(defaults, key, value))


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
    message = refusal(defaults)
    assert told in message
    assert message.splitlines()[1].startswith("  features: ")


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("features.hop", "hop_length"),
        ("augment.noise.level", "snr_db"),
        ("learning_rate", "train"),
        ("data.limits", "limit"),
    ],
)
def test_an_unknown_key_is_told_with_the_known_ones(defaults: dict[str, Any], key: str, known: str) -> None:
    line = refusal(with_value(defaults, key, 1)).splitlines()[1]
    assert line.startswith(f"  {key}: unknown key; known here: ")
    assert known in line


def test_every_key_but_the_limit_must_be_there(defaults: dict[str, Any]) -> None:
    for key in leaves(defaults):
        if key != "data.limit":
            assert refusal(without(defaults, key)).splitlines()[1:] == [f"  {key}: is missing"]


def test_all_refused_keys_are_listed_at_once(defaults: dict[str, Any]) -> None:
    content = with_value(without(defaults, "train.seed"), "features.n_mels", 0)
    message = refusal(with_value(content, "store.colour", "red"))
    assert message.startswith("params.yaml: 3 parameters not allowed")
    for key in ("train.seed", "features.n_mels", "store.colour"):
        assert f"\n  {key}: " in message


@pytest.mark.parametrize("key", ["train", "augment.noise"])
@pytest.mark.parametrize("value", [None, 3, "x", [1]])
def test_a_section_that_is_none_is_told(defaults: dict[str, Any], key: str, value: Any) -> None:
    assert f"\n  {key}: {value!r}: " in refusal(with_value(defaults, key, value))


@pytest.mark.parametrize("content", [None, [], "text", 3])
def test_a_file_without_sections_is_told(content: Any) -> None:
    assert "expected sections such as data, features and train" in refusal(content)


def test_long_values_are_shortened(defaults: dict[str, Any]) -> None:
    assert len(refusal(with_value(defaults, "store.shards", "x" * 5000))) < 500


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


@pytest.mark.parametrize("command", ["manifest", "features"])
def test_the_command_line_ends_with_code_2_and_touches_nothing(
    defaults: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_bonafide: Any, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(with_value(defaults, "features.n_mels", 0)))
    code, output = run_bonafide(command)
    assert code == 2
    assert "features.n_mels: 0: Input should be greater than or equal to 1" in output
    assert "Traceback" not in output
    assert [path.name for path in tmp_path.rglob("*")] == ["params.yaml"]
