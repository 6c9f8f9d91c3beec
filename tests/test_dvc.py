"""The pipeline as DVC's users run it, in a clone of the repository on a small corpus."""

import json

import pytest
import yaml

from tests.support.dvc_project import Project, changed, stages
from tests.support.synthetic_corpus import write_corpus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ORDER = tuple(stages())


def stages_run(output: str) -> list[str]:
    """The stages that a `dvc repro` or `dvc exp run` ran, in order."""
    return [stage for stage in ORDER if f"Running stage '{stage}'" in output]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("dvc") / "bonafide")
    root = project.root
    write_corpus(root / "data" / "raw" / "LA")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["data"]["root"] = "data/raw/LA"
    params["train"] |= {"steps": 4, "steps_per_epoch": 4, "channels": [4, 4], "batch_size": 4}
    params["evaluate"]["intervals"] = 0
    params["crossval"]["folds"] = 2
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    project.commit("Parameters")
    assert stages_run(project.run("dvc", "repro")) == list(ORDER)
    project.commit("A first run")
    return project


def test_second_repro_runs_nothing_and_leaves_the_lock_file_clean(project: Project) -> None:
    output = project.run("dvc", "repro")
    assert stages_run(output) == []
    assert "up to date" in output
    assert project.run("git", "status", "--porcelain", "dvc.lock") == ""


def test_lock_and_figures_of_a_run_are_those_of_its_code(project: Project) -> None:
    assert changed(project.root) == {}


def test_git_holds_metrics_and_plots_and_dvc_the_rest(project: Project) -> None:
    tracked = project.run("git", "ls-files").splitlines()
    assert "reports/evaluation/metrics.json" in tracked
    assert "reports/evaluation/metrics/eval.json" in tracked
    assert "reports/data/validation.json" in tracked
    assert "dvc.lock" in tracked
    assert not [
        name
        for name in tracked
        if name.startswith(("data/features/", "data/crossval/", "data/model/", "data/export/", "reports/index.html"))
    ]


def test_the_table_of_metrics_fits_120_columns(project: Project) -> None:
    lines = project.run("dvc", "metrics", "show").splitlines()
    assert any("reports/evaluation/metrics" in line for line in lines)
    assert max(map(len, lines)) <= 120


def test_another_learning_rate_trains_again_and_no_more(project: Project) -> None:
    output = project.run("dvc", "exp", "run", "-S", "train.learning_rate=0.02", "--name", "faster")
    assert stages_run(output) == ["crossval", "train", "evaluate", "export", "report"]
    differences = json.loads(project.run("dvc", "metrics", "diff", "--json"))
    assert "cllr" in differences["reports/evaluation/metrics/dev.json"]
    assert max(map(len, project.run("dvc", "metrics", "show").splitlines())) <= 120
    parameters = json.loads(project.run("dvc", "params", "diff", "--json"))
    assert parameters["params.yaml"]["train.learning_rate"] == {"old": 0.002, "new": 0.02, "diff": pytest.approx(0.018)}
    assert "faster" in project.run("dvc", "exp", "show", "--csv")
    compared = project.run("python", "-m", "bonafide", "compare", "HEAD", "faster", "--intervals", "5")
    assert "B = faster" in compared
    assert "different" not in compared
    project.run("dvc", "plots", "diff", "HEAD", "--out", "plots")
    page = (project.root / "plots" / "index.html").read_text()
    assert "ROC" in page
    assert "workspace" in page


def test_interrupted_features_go_on_under_repro(project: Project) -> None:
    index = sorted((project.root / "data/features/index").iterdir())
    kept = len(index) - 1
    index[0].unlink()
    (project.root / "data/features/store.json").unlink()
    output = project.run("dvc", "repro", "--single-item", "features")
    assert f"{kept} shards kept, 1 redone" in output


def test_a_member_is_made_like_the_main_network_and_fused_with_it(project: Project) -> None:
    """Entries of `members` and one of `fusions` add stages; those of the main network stay as they are."""
    before = (project.root / "params.yaml").read_text()
    params = yaml.safe_load(before)
    front_end = {**params["features"], "kind": "log_mel", "n_mels": 20, "n_fft": 512, "win_length": 400}
    augment = {"copies": 0, "copy_synthesis": {"copies": 0}}
    member = {"features": front_end, "augment": augment, "crossval": {"folds": 0}}
    seed_2 = {"train": {"seed": 2}, "crossval": {"folds": 0}}
    params |= {"members": {"mel": member, "seed_2": seed_2}, "fusions": {"with_mel": ["mel", "seed_2"]}}
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))

    output = project.run("dvc", "repro", "fuse@with_mel")

    made = {
        f"member_{stage}@{name}"
        for stage in ("features", "crossval", "train", "evaluate")
        for name in ("mel", "seed_2")
    }
    *ran, last = [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]
    assert (set(ran), len(ran), last) == (made, len(made), "fuse@with_mel")
    store = (project.root / "data/features/store.json").read_bytes()
    assert (project.root / "data/members/seed_2/features/store.json").read_bytes() == store
    assert "shards kept, 0 redone" in output, "the store of the member with another seed is linked"
    model = json.loads((project.root / "data/members/mel/model/bundle.json").read_text())
    assert model["front_end"]["parameters"]["n_mels"] == 20
    fused = project.root / "reports/fusions/with_mel"
    weights = json.loads((fused / "fusion.json").read_text())["weights"]
    folders = ["reports/evaluation", "reports/members/mel/evaluation", "reports/members/seed_2/evaluation"]
    assert list(weights) == [f"{folder}/scores/dev.txt" for folder in folders]
    main = (project.root / "reports/evaluation/scores/eval.txt").read_text().splitlines()
    scores = {row[0]: float(row[3]) for row in map(str.split, (fused / "eval.txt").read_text().splitlines())}
    assert len(scores) == len(main)
    clips = sorted(map(str, (project.root / "data/raw/LA").glob("*eval/flac/*.flac")))[:3]
    command = ("python", "-m", "bonafide", "score", "--model", "data/fusions/with_mel", "--format", "asvspoof", *clips)
    found = {row[0]: float(row[1]) for row in map(str.split, project.run(*command).splitlines()) if row[0] in scores}
    assert found == pytest.approx({name: scores[name] for name in found}, abs=1e-4)
    assert len(found) == 3
    assert "reports/fusions/with_mel/metrics/eval.json" in project.run("dvc", "metrics", "show")
    (project.root / "params.yaml").write_text(before)


def test_a_further_test_set_needs_one_key_and_its_audio_is_a_dependency(project: Project) -> None:
    """A corpus that is added is read, evaluated and shown; the model stays. A clip of it that changes is noticed."""
    write_corpus(project.root / "data" / "raw" / "other", n_utterances=12)
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    params["evaluate"]["corpora"] = {"other": {"root": "data/raw/other", "layout": "auto", "split": "eval"}}
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))

    output = project.run("dvc", "repro")

    assert "Running stage 'corpus@other'" in output
    assert stages_run(output) == ["evaluate", "export", "report"]
    assert "other.json" in project.run("dvc", "metrics", "show")
    assert "On other corpora" in (project.root / "reports" / "index.html").read_text()
    assert project.run("dvc", "status").strip().endswith("up to date.")
    clip = next((project.root / "data" / "raw" / "other" / "ASVspoof2019_LA_eval").rglob("*.flac"))
    clip.unlink()
    assert "corpus@other" in project.run("dvc", "status")
