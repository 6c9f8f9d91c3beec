import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from model.cli.metrics import register
from model.metrics import MetricsError, format_scores

app = typer.Typer()
register(app)
N = 120


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def make_scores(seed: int, distance: float = 2.0) -> str:
    """Systems made with different seeds share most of their noise, as systems do."""
    labels = np.repeat([1, 0], N)
    noise = np.random.default_rng(0).normal(0, 1, 2 * N) + np.random.default_rng(seed).normal(0, 0.2, 2 * N)
    attacks = ["-"] * N + ["A01", "A02"] * (N // 2)
    return format_scores([f"u{i}" for i in range(2 * N)], noise + distance * labels, attacks, labels.tolist())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text(make_scores(1))
    (tmp_path / "b.txt").write_text(make_scores(2, distance=3.0))
    rows = [line.split() for line in make_scores(1).splitlines()]
    (tmp_path / "two.txt").write_text("".join(f"{row[0]} {row[3]}\n" for row in rows))
    protocol = [f"s{i % 5} {row[0]} - {row[1]} {row[2]}\n" for i, row in enumerate(rows)]
    (tmp_path / "protocol.txt").write_text("".join(protocol))
    spoof = [f"{row[1]} spoof {i % 7}\n" for i, row in enumerate(rows) if row[2] == "spoof"]
    genuine = [f"bonafide target {5 + i % 3}\nbonafide nontarget {i % 6 - 4}\n" for i in range(50)]
    (tmp_path / "asv.txt").write_text("".join(genuine + spoof))
    return tmp_path


@pytest.mark.parametrize("command", ["metrics", "compare"])
def test_help_has_an_example(command: str) -> None:
    assert f"bonafide {command}" in run(command, "--help")


def test_two_and_four_columns_give_the_same_numbers(folder: Path) -> None:
    four = json.loads(run("metrics", "--scores", folder / "a.txt", "--json"))
    two = json.loads(run("metrics", "--scores", folder / "two.txt", "--protocol", folder / "protocol.txt", "--json"))
    assert two == four
    assert (four["n_bonafide"], four["n_spoof"], sorted(four["per_attack"])) == (N, N, ["A01", "A02"])
    assert 0.05 < four["eer"] < 0.3


def test_the_table_tells_values_units_intervals_and_where_the_threshold_is_from(folder: Path) -> None:
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


def test_without_asv_scores_a_note_says_why_t_dcf_is_absent(folder: Path) -> None:
    assert "No t-DCF: it needs ASV scores of the same corpus" in run("metrics", "--scores", folder / "a.txt")


def test_inverted_scores_are_pointed_out(folder: Path) -> None:
    rows = [line.split() for line in make_scores(1).splitlines()]
    (folder / "inverted.txt").write_text("".join(f"{row[0]} {-float(row[3])}\n" for row in rows))
    arguments = ["metrics", "--scores", folder / "inverted.txt", "--protocol", folder / "protocol.txt"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0
    assert "Labels may be inverted" in result.output


def test_speakers_need_a_protocol(folder: Path) -> None:
    with pytest.raises(MetricsError, match="does not tell speakers: give the protocol"):
        run("metrics", "--scores", folder / "a.txt", "--by", "speaker")


def test_a_dev_protocol_without_dev_scores_is_a_usage_error(folder: Path) -> None:
    arguments = ["metrics", "--scores", str(folder / "a.txt"), "--dev-protocol", str(folder / "protocol.txt")]
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_compare_tells_differences_and_flipped_verdicts(folder: Path) -> None:
    text = run("compare", folder / "a.txt", folder / "b.txt", "--intervals", 100, "--flips", 3)
    assert "verdicts flip" in text
    assert "Flipped verdicts, 3 of" in text
    found = json.loads(run("compare", folder / "a.txt", folder / "b.txt", "--intervals", 100, "--json"))
    assert found["eer"]["difference"] == pytest.approx(found["eer"]["b"] - found["eer"]["a"])
    assert found["eer"]["high"] < 0
    assert found["eer"]["p_value"] < 0.05
    scores = {row[0]: float(row[3]) for row in (line.split() for line in make_scores(1).splitlines())}
    assert found["flips"]
    for row in found["flips"]:
        assert row["score_a"] == scores[row["utterance_id"]]
        assert (row["score_a"] >= found["threshold_a"]) != (row["score_b"] >= found["threshold_b"])
        assert row[f"verdict_{row['right']}"] == row["label"]


def test_compare_takes_thresholds_from_dev_and_t_dcf_from_asv_scores(folder: Path) -> None:
    found = json.loads(
        run(
            *("compare", folder / "a.txt", folder / "b.txt", "--dev-a", folder / "b.txt", "--dev-b", folder / "b.txt"),
            *("--asv-scores", folder / "asv.txt", "--intervals", 20, "--json"),
        )
    )
    assert found["threshold_a"] == found["threshold_b"]
    assert found["min_tdcf_2021"]["b"] < found["min_tdcf_2021"]["a"]


def test_compare_reads_the_scores_of_git_revisions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)

    git("init", "-q", ".")
    git("commit", "-q", "--allow-empty", "-m", "nothing yet")
    git("tag", "empty")
    committed = folder / "reports" / "evaluation" / "scores"
    committed.mkdir(parents=True)
    for name, seed, distance in (("old", 1, 2.0), ("new", 2, 3.0)):
        (committed / "eval.txt").write_text(make_scores(seed, distance))
        (committed / "dev.txt").write_text(make_scores(seed + 10, distance))
        git("add", "reports")
        git("commit", "-q", "-m", name)
        git("tag", name)
    found = json.loads(run("compare", "old", "new", "--intervals", 50, "--json"))
    files = json.loads(run("compare", "a.txt", "b.txt", "--intervals", 50, "--json"))
    assert found["eer"] == files["eer"]
    assert found["threshold_a"] != files["threshold_a"]
    assert "from its dev scores" in run("compare", "old", "b.txt", "--intervals", 20)
    with pytest.raises(MetricsError, match="neither a score file nor a git revision"):
        run("compare", "nowhere", "new")
    with pytest.raises(MetricsError, match=r"empty: this revision has no reports/evaluation/scores/eval\.txt"):
        run("compare", "empty", "new")


MEASURE = """
import sys
from typer import Typer
from model.cli.metrics import compare, metrics
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
