import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.score_files import N_PER_CLASS, make_scores

Run = Callable[..., str]


@pytest.mark.parametrize("command", ["metrics", "compare"])
def test_help_has_an_example(command: str, run: Run) -> None:
    assert f"bonafide {command}" in run(command, "--help")


def test_two_and_four_columns_give_the_same_numbers(folder: Path, run: Run) -> None:
    four = json.loads(run("metrics", "--scores", folder / "a.txt", "--json"))
    two = json.loads(run("metrics", "--scores", folder / "two.txt", "--protocol", folder / "protocol.txt", "--json"))
    assert two == four
    assert (four["n_bonafide"], four["n_spoof"], sorted(four["per_attack"])) == (
        N_PER_CLASS,
        N_PER_CLASS,
        ["A01", "A02"],
    )
    assert 0.05 < four["eer"] < 0.3


def test_the_table_tells_values_units_intervals_and_where_the_threshold_is_from(folder: Path, run: Run) -> None:
    text = run(
        *("metrics", "--scores", folder / "two.txt", "--protocol", folder / "protocol.txt", "--by", "speaker"),
        *("--asv-scores", folder / "asv.txt", "--sasv-scores", folder / "asv.txt", "--intervals", 20),
        *("--dev-scores", folder / "b.txt"),
    )
    for part in (
        "EER",
        "min t-DCF 2019",
        "t-EER",
        "a-DCF",
        "95 % interval",
        "the dev EER threshold",
        "Calibrated on dev",
    ):
        assert part in text, part
    assert "By speaker, worst first" in text
    assert "s4" in text
    assert max(map(len, text.splitlines())) <= 100


def test_without_asv_scores_a_note_says_why_t_dcf_is_absent(folder: Path, run: Run) -> None:
    assert "No t-DCF: it needs ASV scores of the same corpus" in run("metrics", "--scores", folder / "a.txt")


def test_inverted_scores_are_pointed_out(folder: Path, run: Run) -> None:
    rows = [line.split() for line in make_scores(1).splitlines()]
    (folder / "inverted.txt").write_text("".join(f"{row[0]} {-float(row[3])}\n" for row in rows))
    text = run("metrics", "--scores", folder / "inverted.txt", "--protocol", folder / "protocol.txt")
    assert "Labels may be inverted" in text


def test_speakers_need_a_protocol(folder: Path, run_bonafide: Callable[..., tuple[int, str]]) -> None:
    code, text = run_bonafide("metrics", "--scores", folder / "a.txt", "--by", "speaker")
    assert code == 1
    assert "does not tell speakers: give the protocol" in text


def test_a_dev_protocol_without_dev_scores_is_a_usage_error(
    folder: Path, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    code, _ = run_bonafide("metrics", "--scores", folder / "a.txt", "--dev-protocol", folder / "protocol.txt")
    assert code == 2


def test_attacks_of_train_and_others_have_error_rates_of_their_own(folder: Path, run: Run) -> None:
    (folder / "train.txt").write_text("s t1 - A01 spoof\ns t2 - A09 spoof\ns t3 - - bonafide\n")
    command = ("metrics", "--scores", folder / "a.txt", "--train-protocol", folder / "train.txt")

    found = json.loads(run(*command, "--json"))
    text = run(*command, "--alias", "A02=A09")

    assert found["seen_attacks"] == {"A01": "A01"}
    assert found["seen"]["eer"] == found["per_attack"]["A01"]["eer"]
    assert found["unseen"]["eer"] == found["per_attack"]["A02"]["eer"]
    assert "Attacks of train (A01, A02 (is A09)) and others" in text


def test_aliases_are_pairs_and_need_the_attacks_of_train(
    folder: Path, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    command = ("metrics", "--scores", folder / "a.txt")
    assert run_bonafide(*command, "--alias", "A16=A04")[0] == 2
    (folder / "train.txt").write_text("s t1 - A01 spoof\n")
    assert run_bonafide(*command, "--train-protocol", folder / "train.txt", "--alias", "A16")[0] == 2


MEASURE = """
import sys
from typer import Typer
from model.cli.compare import compare
from model.cli.metrics import metrics
assert "numpy" not in sys.modules, "importing the commands must be cheap"
app = Typer()
app.command()(metrics)
app(sys.argv[1:], standalone_mode=False)
heavy = {"tensorflow", "keras", "scipy", "pandas", "matplotlib", "apache_beam", "pyarrow"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_whole_eval_set_takes_seconds_and_no_heavy_import(tmp_path: Path, repository: Path) -> None:
    n_bonafide, n_spoof = 7_355, 63_882
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], [n_bonafide, n_spoof])
    scores = rng.normal(0, 2, len(labels)) + 3 * labels
    rows = [(f"LA_E_{i:07d}", f"A{7 + i % 13:02d}" if not label else "-", label) for i, label in enumerate(labels)]
    (tmp_path / "scores.txt").write_text(
        "".join(f"{row[0]} {score:.6f}\n" for row, score in zip(rows, scores, strict=True))
    )
    names = ("spoof", "bonafide")
    (tmp_path / "protocol.txt").write_text(
        "".join(f"LA_{i % 67:04d} {u} - {a} {names[y]}\n" for i, (u, a, y) in enumerate(rows))
    )
    files = ["--scores", str(tmp_path / "scores.txt"), "--protocol", str(tmp_path / "protocol.txt")]
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *files, "--json"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    elapsed = time.perf_counter() - before
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_trials"] == 71_237
    assert elapsed < 10, "3 s on an idle machine"


def test_scores_as_csv_and_as_json_lines_give_the_same_numbers(folder: Path, run: Run) -> None:
    rows = [line.split() for line in make_scores(1).splitlines()]
    names = ("path", "attack_id", "label", "score")
    records = [dict(zip(names, (f"clips/{row[0]}.flac", *row[1:3], float(row[3])), strict=True)) for row in rows]
    (folder / "scores.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    lines = [",".join(names), *(",".join(map(str, record.values())) for record in records)]
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")

    expected = json.loads(run("metrics", "--scores", folder / "a.txt", "--json"))
    for name in ("scores.jsonl", "scores.csv"):
        assert json.loads(run("metrics", "--scores", folder / name, "--json")) == expected
    joined = run("metrics", "--scores", folder / "scores.csv", "--protocol", folder / "protocol.txt", "--json")
    assert json.loads(joined)["eer"] == expected["eer"]


def test_the_a_dcfs_of_both_publications_are_told_apart(folder: Path, run: Run) -> None:
    arguments = ("metrics", "--scores", folder / "a.txt", "--sasv-scores", folder / "asv.txt")
    found = json.loads(run(*arguments, "--json"))
    assert 0 < found["a_dcf_asvspoof5"] != found["a_dcf_shim2024"] > 0
    assert "a-DCF, ASVspoof 5" in run(*arguments)


def test_an_asv_system_that_accepts_no_spoof_costs_one_number_and_not_all(folder: Path, run: Run) -> None:
    lines = (folder / "asv.txt").read_text().splitlines()
    resisting = [line if " spoof " not in line else f"{line.split()[0]} spoof -99" for line in lines]
    (folder / "resisting.txt").write_text("\n".join(resisting) + "\n")
    text = run("metrics", "--scores", folder / "a.txt", "--asv-scores", folder / "resisting.txt")
    assert "No min_tdcf_2019" in text
    assert "accepts no spoof" in " ".join(text.split())
    assert "min t-DCF 2021" in text
    assert "minDCF" in text
