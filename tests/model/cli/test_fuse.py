"""The command `fuse`: score files in, fused score files out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from model.fusion_file import read_fusion
from model.metrics import read_score_table, read_scores, refit
from model.metrics.rates import eer_of_curve
from tests.support.score_files import make_scores
from tests.support.synthetic_store import files_of
from tests.support.toy_bundle import write_toy_bundle, write_toy_evaluation

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


@pytest.fixture
def project(tmp_path: Path, systems: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a main network (a), a member (b), and a fusion of both; each with an evaluation."""
    content = {"members": {"lfcc": {}, "cqt": {}}, "fusions": {"with_lfcc": ["lfcc"]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    for system in NETWORKS:
        write_network(tmp_path, system)
    monkeypatch.chdir(tmp_path)
    return tmp_path


NETWORKS = {
    "a": ("data/model", "reports/evaluation"),
    "b": ("data/members/lfcc/model", "reports/members/lfcc/evaluation"),
}


def write_network(root: Path, system: str, held_out: str = "", sample_rate: int = 16000) -> None:
    """The bundle and the evaluation of a network, anew."""
    model, evaluation = NETWORKS[system]
    scores = {split: (root / f"{system}.{split}.txt").read_text() + "\n" for split in ("dev", "eval")}
    shutil.rmtree(root / model, ignore_errors=True)
    threshold = write_toy_bundle(root / model, scores["dev"], held_out, sample_rate)
    write_toy_evaluation(root / evaluation, scores, threshold)


def held_out_scores(seed: int, count: int = 60) -> str:
    """Scores of attacks left out of train: the first bona fide and spoof clips of dev, less well told apart."""
    rows = [line.split() for line in make_scores(seed, distance=0.5).splitlines()]
    chosen = [row for label in ("bonafide", "spoof") for row in [row for row in rows if row[2] == label][:count]]
    return "".join(f"crossval-1:{' '.join(row)}\n" for row in chosen)


def test_a_fusion_of_members_takes_the_scores_of_their_evaluations(project: Path, run: Run) -> None:
    found = json.loads(run("fuse", "--fusion", "with_lfcc", "--output", "reports/fusions/with_lfcc", "--json"))

    assert found["systems"] == ["reports/evaluation/scores/dev.txt", "reports/members/lfcc/evaluation/scores/dev.txt"]
    for split in ("dev", "eval"):
        row = json.loads((project / "reports/fusions/with_lfcc/metrics" / f"{split}.json").read_text())
        assert row == found[split][-1]
        assert set(row) == {"eer", "cllr"}


def test_a_fusion_of_members_leaves_a_model_of_its_networks(project: Path, run: Run) -> None:
    text = run("fuse", "--fusion", "with_lfcc", "--output", "fused")

    assert "bonafide score --model data/fusions/with_lfcc" in text
    assert "Fitted on dev;" in text
    assert "│ lfcc " in text
    parts = read_fusion(project / "data/fusions/with_lfcc")
    assert list(parts.networks) == ["main", "lfcc"]
    for name, source in (("main", "data/model"), ("lfcc", "data/members/lfcc/model")):
        assert files_of(parts.networks[name]) == files_of(project / source)
    dev = read_score_table(project / "fused/dev.txt")
    assert parts.development.scores == pytest.approx(dev.scores, rel=1e-12)
    assert parts.threshold == eer_of_curve(dev.curve).threshold
    assert parts.calibrated_on["dev_spoof"] == 120


def test_weights_come_from_dev_and_held_out_attacks_where_all_networks_have_the_same(project: Path, run: Run) -> None:
    alone = json.loads(run("fuse", "--fusion", "with_lfcc", "--json"))
    for seed, system in enumerate(NETWORKS):
        write_network(project, system, held_out_scores(seed))

    text = run("fuse", "--fusion", "with_lfcc", "--output", "both", "--bundle", "models/both")

    assert "Fitted on dev and attacks left out of train" in " ".join(text.split())
    parts, written = read_fusion(project / "models/both"), json.loads((project / "both/fusion.json").read_text())
    assert list(written["weights"].values()) == parts.fusion.weights.tolist() != alone["weights"]
    assert parts.calibrated_on == {
        "dev_bonafide": 120, "dev_spoof": 120, "folds": 1, "held_out_bonafide": 60, "held_out_spoof": 60
    }  # fmt: skip
    table = parts.development
    assert refit(table.bonafide, table.spoof).slope == pytest.approx(1.0, abs=0.05), "honest about unseen attacks, too"
    dev = read_score_table(project / "both/dev.txt")
    assert refit(dev.bonafide, dev.spoof).slope > 1.1, "more careful than dev alone would ask for"


@pytest.mark.parametrize("other", ["", held_out_scores(1, count=40)])
def test_held_out_attacks_that_not_all_networks_have_are_left_out(project: Path, other: str, run: Run) -> None:
    alone = json.loads(run("fuse", "--fusion", "with_lfcc", "--json"))
    write_network(project, "a", held_out_scores(0))
    write_network(project, "b", other)

    found = json.loads(run("fuse", "--fusion", "with_lfcc", "--json"))

    assert found["weights"] == pytest.approx(alone["weights"])
    assert read_fusion(project / "data/fusions/with_lfcc").calibrated_on["folds"] == 0


def test_an_evaluation_of_another_model_is_refused(project: Path, run_bonafide: Callable[..., tuple[int, str]]) -> None:
    shutil.rmtree(project / "data/members/lfcc/model")
    write_toy_bundle(project / "data/members/lfcc/model", (project / "a.dev.txt").read_text())

    code, text = run_bonafide("fuse", "--fusion", "with_lfcc")

    assert code == 1
    assert "reports/members/lfcc/evaluation evaluates another model than data/members/lfcc/model" in " ".join(
        text.split()
    )
    assert not (project / "data/fusions").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: shutil.rmtree(root / "data/members/lfcc/model"), "data/members/lfcc/model: no trained model"),
        (lambda root: shutil.rmtree(root / "reports/members"), "details.json: no such file; make it with"),
        (lambda root: (root / "data/model/model.keras").write_text("x"), "is not the file that bundle.json describes"),
        (lambda root: write_network(root, "b", sample_rate=8000), "main 16000 Hz, lfcc 8000 Hz"),
    ],
)
def test_a_network_that_cannot_be_fused_is_named_and_nothing_is_written(
    project: Path, damage: Callable[[Path], object], message: str, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    damage(project)

    code, text = run_bonafide("fuse", "--fusion", "with_lfcc", "--output", "fused")

    assert code == 1
    assert message in " ".join(text.split())
    assert not (project / "fused").exists()
    assert not (project / "data/fusions/with_lfcc").exists()


def test_score_files_make_no_model(systems: list[str], run_bonafide: Callable[..., tuple[int, str]]) -> None:
    code, text = run_bonafide("fuse", *systems, "--bundle", "models/both")
    assert code == 2
    assert "only networks of --fusion make a model" in " ".join(text.split())


@pytest.mark.parametrize("with_files", [False, True])
def test_either_files_or_a_fusion_is_given(
    systems: list[str], with_files: bool, run_bonafide: Callable[..., tuple[int, str]]
) -> None:
    code, text = run_bonafide("fuse", *(["--fusion", "all", *systems] if with_files else []))
    assert code == 2
    assert "either --dev and --eval" in " ".join(text.split())
