import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.score_files import make_scores

Run = Callable[..., str]


def test_compare_tells_differences_and_flipped_verdicts(folder: Path, run: Run) -> None:
    text = run("compare", folder / "a.txt", folder / "b.txt", "--intervals", 100, "--flips", 3)
    assert "verdicts flip" in text
    assert "Flipped verdicts, 3 of" in text
    assert "Cllr [bit]" in text, "brackets are no markup"
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


def test_compare_takes_thresholds_from_dev_and_t_dcf_from_asv_scores(folder: Path, run: Run) -> None:
    found = json.loads(
        run(
            *("compare", folder / "a.txt", folder / "b.txt", "--dev-a", folder / "b.txt", "--dev-b", folder / "b.txt"),
            *("--asv-scores", folder / "asv.txt", "--intervals", 20, "--json"),
        )
    )
    assert found["threshold_a"] == found["threshold_b"]
    assert found["min_tdcf_2021"]["b"] < found["min_tdcf_2021"]["a"]


def test_compare_reads_the_scores_of_git_revisions(
    folder: Path, monkeypatch: pytest.MonkeyPatch, run: Run, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
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
    # A warning follows on standard error.
    found, _ = json.JSONDecoder().raw_decode(run("compare", "old", "new", "--intervals", 50, "--json"))
    files = json.loads(run("compare", "a.txt", "b.txt", "--intervals", 50, "--json"))
    assert found["eer"] == files["eer"]
    assert found["threshold_a"] != files["threshold_a"]
    assert "from its dev scores" in run("compare", "old", "b.txt", "--intervals", 20)
    assert "old and new does not say" in run_bonafide("compare", "old", "new", "--intervals", "20")[1]
    for name, processor, code_text in (("here", "Xeon", "1"), ("again", "Xeon", "1"), ("there", "EPYC", "2")):
        for path, content in (
            ("reports/train/machine.json", json.dumps({"processor": processor})),
            ("model/a.py", code_text),
        ):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
            git("add", path)
        git("commit", "-q", "--allow-empty", "-m", name)
        git("tag", name)
    assert "warning" not in run_bonafide("compare", "here", "again", "--intervals", "20")[1]
    _, text = run_bonafide("compare", "here", "there", "--intervals", "20")
    assert "here and there were trained on different machines: processor Xeon and EPYC" in text
    assert "different code: model/a.py" in text
    code, text = run_bonafide("compare", "nowhere", "new")
    assert code == 1
    assert "neither a score file nor a git revision or DVC experiment" in text
    code, text = run_bonafide("compare", "empty", "new")
    assert code == 1
    assert "empty: this revision has no reports/evaluation/scores/eval.txt" in text


LOCK = """
stages:
  manifest:
    deps:
    - {{path: pipeline/corpus, md5: 1}}
    - {{path: {root}, md5: {files}}}
    params:
      params.yaml:
        data: {{root: {root}, limit: {limit}}}
"""


def test_compare_takes_experiments_by_name_and_warns_of_other_corpora(
    folder: Path, monkeypatch: pytest.MonkeyPatch, run: Run, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    monkeypatch.chdir(folder)

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(name: str, seed: int, root: str = "data/LA", files: int = 1, limit: str = "null") -> None:
        (folder / "reports/evaluation/scores").mkdir(parents=True, exist_ok=True)
        (folder / "reports/train").mkdir(exist_ok=True)
        (folder / "reports/train/machine.json").write_text('{"processor": "Xeon"}')
        for split in ("dev", "eval"):
            (folder / f"reports/evaluation/scores/{split}.txt").write_text(make_scores(seed))
        (folder / "dvc.lock").write_text(LOCK.format(root=root, files=files, limit=limit))
        git("add", "reports", "dvc.lock")
        git("commit", "-q", "--allow-empty", "-m", name)

    git("init", "-q", ".")
    commit("base", 1)
    base = git("rev-parse", "HEAD")
    for number, (name, options) in enumerate(
        {
            "same": {},
            "moved": {"root": "/far/LA"},
            "other-root": {"root": "data/WF", "files": 2},
            "other-files": {"files": 2},
            "fewer": {"limit": "10"},
        }.items()
    ):
        git("checkout", "-q", base)
        commit(name, number + 2, **options)
        # As DVC stores experiments.
        git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", "HEAD")
    git("checkout", "-q", base)

    found, _ = json.JSONDecoder().raw_decode(run("compare", "HEAD", "same", "--intervals", 5, "--json"))
    assert found["cllr"]["a"] != found["cllr"]["b"]
    for name, told in {
        "same": "",
        "moved": "",
        "other-root": "HEAD and other-root have different corpora: the files of data/LA and data/WF",
        "other-files": "HEAD and other-files have different corpora: the files of data/LA",
        "fewer": "HEAD and fewer have different corpora: data.limit None and 10",
    }.items():
        code, text = run_bonafide("compare", "HEAD", name, "--intervals", 5)
        assert code == 0
        assert ("different corpora" in text) == bool(told)
        assert told in text

    git("update-ref", f"refs/exps/{'1' * 2}/{'1' * 38}/same", "HEAD")
    run("compare", "HEAD", "same", "--intervals", 5)
    git("commit", "-q", "--allow-empty", "-m", "next")
    code, text = run_bonafide("compare", "HEAD", "same", "--intervals", 5)
    assert (code, "2 experiments have this name" in text) == (1, True)
