"""The command `fuse`: score files in, fused score files out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from model.metrics import read_score_table, read_scores
from tests.support.score_files import make_scores

Run = Callable[..., str]


@pytest.fixture
def systems(tmp_path: Path) -> list[str]:
    """Arguments for two systems with dev and eval scores; the second one's lines are in another order."""
    arguments = []
    for number, name in enumerate("ab"):
        for place, split in enumerate(("dev", "eval")):
            lines = make_scores(10 * number + place, distance=1.0 + number).splitlines()
            file = tmp_path / f"{name}.{split}.txt"
            file.write_text("\n".join(lines[::-1] if number else lines))
            arguments += [f"--{split}", str(file)]
    return arguments


def test_the_fused_files_are_score_files_of_the_same_trials(tmp_path: Path, systems: list[str], run: Run) -> None:
    text = run("fuse", *systems, "--output", tmp_path / "fused")

    for part in ("a.dev.txt", "b.dev.txt", "fusion", "dev EER %", "eval Cllr", "weight"):
        assert part in text
    for split in ("dev", "eval"):
        fused, system = (read_score_table(tmp_path / name) for name in (f"fused/{split}.txt", f"a.{split}.txt"))
        assert fused.utterance_ids.tolist() == system.utterance_ids.tolist()
        assert fused.attack_ids.tolist() == system.attack_ids.tolist()
        assert fused.labels.tolist() == system.labels.tolist()
    fused = [tmp_path / "fused" / f"{split}.txt" for split in ("eval", "dev")]
    measured = json.loads(run("metrics", "--scores", fused[0], "--dev-scores", fused[1], "--json"))
    assert measured["calibrated"]["slope"] == pytest.approx(1.0, abs=0.05)


def test_weights_and_errors_can_be_read_by_programs(tmp_path: Path, systems: list[str], run: Run) -> None:
    found = json.loads(run("fuse", *systems, "--output", tmp_path / "fused", "--json"))
    written = json.loads((tmp_path / "fused" / "fusion.json").read_text())

    assert found["weights"] == list(written["weights"].values())
    assert list(written["weights"]) == found["systems"]
    a, b, fusion = found["eval"]
    assert fusion["eer"] <= min(a["eer"], b["eer"]) + 0.01
    assert fusion["cllr"] <= min(a["cllr"], b["cllr"]) + 0.02
    scores = [read_scores(tmp_path / f"{name}.eval.txt") for name in "ab"]
    by_name = [dict(zip(file.utterance_ids.tolist(), file.scores.tolist(), strict=True)) for file in scores]
    fused = read_scores(tmp_path / "fused" / "eval.txt")
    expected = sum(weight * system["u7"] for weight, system in zip(found["weights"], by_name, strict=True))
    assert dict(zip(fused.utterance_ids.tolist(), fused.scores.tolist(), strict=True))["u7"] == pytest.approx(
        expected + found["intercept"]
    )


def test_files_of_two_columns_take_labels_from_protocols_and_unlabelled_eval_gets_scores(
    tmp_path: Path, systems: list[str], run: Run
) -> None:
    rows = [line.split() for line in (tmp_path / "a.dev.txt").read_text().splitlines()]
    (tmp_path / "protocol.txt").write_text(
        "".join(f"s - {row[1]} {row[2]}\n".replace("s -", f"s {row[0]} -") for row in rows)
    )
    expected = json.loads(run("fuse", *systems, "--output", tmp_path / "four", "--json"))
    for file in tmp_path.glob("?.*.txt"):
        file.write_text("".join(f"{row[0]} {row[3]}\n" for row in map(str.split, file.read_text().splitlines())))

    text = run("fuse", *systems, "--dev-protocol", tmp_path / "protocol.txt", "--output", tmp_path / "two")

    assert "eval has no labels: fused scores only" in text
    assert read_scores(tmp_path / "two" / "eval.txt").labels is None
    weights = json.loads((tmp_path / "two" / "fusion.json").read_text())["weights"]
    assert list(weights.values()) == pytest.approx(expected["weights"])


def test_another_number_of_eval_than_of_dev_files_is_an_error(
    systems: list[str], run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    code, text = run_bonafide("fuse", *systems[:-2])
    assert code == 1
    assert "given were 2 dev and 1 eval files" in text


def test_a_missing_utterance_is_named_with_its_file(
    tmp_path: Path, systems: list[str], run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    lines = (tmp_path / "b.eval.txt").read_text().splitlines()
    (tmp_path / "b.eval.txt").write_text("\n".join(lines[1:]))

    code, text = run_bonafide("fuse", *systems, "--output", tmp_path / "fused")

    assert code == 1
    assert "b.eval.txt: no score for 1 utterances" in text
    assert lines[0].split()[0] in text
    assert not (tmp_path / "fused").exists()


def test_a_fusion_of_members_takes_the_scores_of_their_evaluations(
    tmp_path: Path, systems: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"members": {"lfcc": {}, "cqt": {}}, "fusions": {"with_lfcc": ["lfcc"]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    for system, folder in (("a", "reports/evaluation"), ("b", "reports/members/lfcc/evaluation")):
        (tmp_path / folder / "scores").mkdir(parents=True)
        for split in ("dev", "eval"):
            (tmp_path / f"{system}.{split}.txt").rename(tmp_path / folder / "scores" / f"{split}.txt")
    monkeypatch.chdir(tmp_path)

    found = json.loads(run("fuse", "--fusion", "with_lfcc", "--output", "reports/fusions/with_lfcc", "--json"))

    assert found["systems"] == ["reports/evaluation/scores/dev.txt", "reports/members/lfcc/evaluation/scores/dev.txt"]
    for split in ("dev", "eval"):
        row = json.loads((tmp_path / "reports/fusions/with_lfcc/metrics" / f"{split}.json").read_text())
        assert row == found[split][-1]
        assert set(row) == {"eer", "cllr"}


@pytest.mark.parametrize("with_files", [False, True])
def test_either_files_or_a_fusion_is_given(
    systems: list[str], with_files: bool, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    code, text = run_bonafide("fuse", *(["--fusion", "all", *systems] if with_files else []))
    assert code == 2
    assert "either --dev and --eval" in " ".join(text.split())
