"""The command `bonafide plan`: the estimate as a table and as JSON, and wrong values."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.job.capacity import Workload, estimate
from pipeline.params import load_params
from tests.support.rates import RATES
from tests.support.synthetic_store import PARAMS_FILE

PARAMS = load_params(PARAMS_FILE)


@pytest.fixture
def bonafide_plan(
    monkeypatch: pytest.MonkeyPatch, repository: Path, run_bonafide: Callable[..., tuple[int, str]]
) -> Callable[..., tuple[int, str]]:
    """Runs `bonafide plan` with rates that need no measurement."""
    monkeypatch.chdir(repository)
    monkeypatch.setattr("pipeline.job.speed.measure_rates", lambda params, mean_s, budget_s: RATES)

    def run(*arguments: object) -> tuple[int, str]:
        code, output = run_bonafide("plan", *arguments)
        return code, " ".join(output.split())

    return run


def test_the_table_has_a_line_for_every_quantity_and_the_assumptions(
    bonafide_plan: Callable[..., tuple[int, str]],
) -> None:
    code, output = bonafide_plan(
        "--clips", "10_000_000", "--mean-seconds", "3.4", "--copies", "3", "--bona-fide-share", "0", "--cores", "256"
    )
    assert code == 0, output
    for told in (
        "10,000,000 clips of 3.4 s, 3 copies, 256 cores",
        "│ 9,444.4 h │",
        "│ 65,552, 16 of them empty │",
        "│ 5.0 TiB │",
        "│ 66.1 h │",
        "memory per worker",
        "│ memory of the command │ 2.0 GiB │",
        "Assumptions - rates of this machine",
        "1.00 ms per second of audio, 2.00 ms per second of a copy",
        "100% of the clips are in train",
        "0% of the clips of train are bona fide and get 3 twins of each copy",
        "a core keeps 95% of its speed",
        "storage keeps up",
    ):
        assert told in output, told
    assert "cost" not in output
    assert "leaves cores idle" not in output


def test_the_table_fits_in_100_columns(
    bonafide_plan: Callable[..., tuple[int, str]], run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    _, output = run_bonafide("plan", "--clips", 10**7, "--mean-seconds", 3, "--cores", 8, "--price-per-core-hour", 1)
    assert max(map(len, output.splitlines())) <= 100


def test_underscores_in_numbers_change_nothing(bonafide_plan: Callable[..., tuple[int, str]]) -> None:
    with_them, without = (
        bonafide_plan("--clips", clips, "--mean-seconds", 3, "--cores", 4) for clips in ("1_000_000", "1000000")
    )
    assert with_them == without


def test_json_has_inputs_rates_and_estimate(
    bonafide_plan: Callable[..., tuple[int, str]],
) -> None:
    code, output = bonafide_plan(
        "--clips", 1_000_000, "--mean-seconds", 2, "--train-share", 0.2, "--cores", 4, "--json"
    )
    assert code == 0, output
    content = json.loads(output)
    assert content["workload"] == {
        "clips": 1_000_000,
        "mean_s": 2.0,
        "train_share": 0.2,
        "copies": PARAMS.augment.copies,
        "bona_fide_share": 0.1,
        "twins": PARAMS.augment.copy_synthesis.copies,
    }
    assert content["rates"]["copy_s"] == RATES.copy_s
    result = estimate(Workload.of(1_000_000, 2.0, 0.2, 0.1), RATES, PARAMS, 4, content["efficiency"])
    assert content["estimate"]["shards"] == result.shards
    assert content["estimate"]["wall_s"] == result.wall_s
    assert content["cost"] is None


def test_the_cost_is_that_of_all_cores_for_the_wall_time(bonafide_plan: Callable[..., tuple[int, str]]) -> None:
    arguments = ("--clips", 1_000_000, "--mean-seconds", 3.6, "--copies", 0, "--cores", 10, "--efficiency", 1)
    code, output = bonafide_plan(*arguments, "--price-per-core-hour", 0.5, "--json")
    content = json.loads(output)
    assert code == 0
    assert content["cost"] == pytest.approx(10 * content["estimate"]["wall_s"] / 3600 * 0.5)
    _, table = bonafide_plan(*arguments, "--price-per-core-hour", 0.5)
    assert f"│ cost, all cores reserved for the wall time │ {content['cost']:.2f} │" in table


@pytest.mark.parametrize(
    ("extra", "remedy"), [((), "lower store.target_shard_mib"), (("shards",), "raise store.shards")]
)
def test_idle_cores_are_told_with_what_helps(
    bonafide_plan: Callable[..., tuple[int, str]], tmp_path: Path, extra: tuple[str, ...], remedy: str
) -> None:
    params = tmp_path / "params.yaml"
    text = PARAMS_FILE.read_text(encoding="utf-8")
    params.write_text(text.replace("shards: auto", "shards: 8") if extra else text, encoding="utf-8")
    few = ("--clips", 1_000, "--mean-seconds", 3, "--params", params)
    assert f"8 shards for 5 cores: the last wave leaves cores idle; {remedy}" in bonafide_plan(*few, "--cores", 5)[1]
    assert "leaves cores idle" not in bonafide_plan(*few, "--cores", 4)[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--clips", "many"], "--clips"),
        (["--clips", "0"], "--clips"),
        (["--clips", "10,000"], "--clips"),
        (["--copies", "-1"], "--copies"),
        (["--cores", "0"], "--cores"),
        (["--mean-seconds", "0"], "--mean-seconds 0: expected a number of seconds above 0"),
        (["--mean-seconds", "nan"], "--mean-seconds nan: expected a number of seconds above 0"),
        (["--mean-seconds", "0.05"], "--mean-seconds 0.05: expected at least features.min_duration_s, 0.1"),
        (["--train-share", "21"], "--train-share 21: expected a share from 0 to 1"),
        (["--efficiency", "0"], "--efficiency 0: expected a share above 0, at most 1"),
        (["--measure-seconds", "-1"], "--measure-seconds -1: expected 0 to 3600 seconds"),
        (["--price-per-core-hour", "-0.1"], "--price-per-core-hour -0.1: expected 0 or more"),
        (["--params", "absent.yaml"], "absent.yaml: no such parameter file"),
        (["--clips", "1_000_000_000", "--mean-seconds", "20"], "raise store.target_shard_mib"),
    ],
    ids=" ".join,
)
def test_a_wrong_value_is_told(bonafide_plan: Callable[..., tuple[int, str]], arguments: list[str], told: str) -> None:
    given_values = {"--clips": "1000", "--mean-seconds": "3"} | dict(zip(arguments[::2], arguments[1::2], strict=True))
    code, output = bonafide_plan(*(word for pair in given_values.items() for word in pair))
    assert code == 2
    assert told in output
    assert "Traceback" not in output


def test_the_command_measures_this_machine(
    repository: Path, monkeypatch: pytest.MonkeyPatch, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    monkeypatch.chdir(repository)
    arguments = ("--clips", 1_000, "--mean-seconds", 0.3, "--cores", 1, "--measure-seconds", 0)
    code, output = run_bonafide("plan", *arguments)
    assert code == 0, output
    assert "apitools" not in output
    assert "Assumptions" in output
