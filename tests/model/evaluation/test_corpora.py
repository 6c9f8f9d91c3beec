"""Further test sets: another corpus goes through the front end of the model, and nothing is fitted on it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

import tests.support.tone_store as tones
from model.bundle import Bundle
from model.errors import ModelError
from model.evaluation.corpora import FurtherCorpus, read_corpora
from model.evaluation.evaluate import Progress, evaluate
from model.metrics import read_scores
from model.params import FurtherCorpusParams
from pipeline.corpus.manifest import build_manifest, write_manifest
from tests.support.parameters import ProjectParams
from tests.support.trained_model import Trained

N_CLIPS = 12


def write_corpus(folder: Path, label: Callable[[int], str] = lambda n: "spoof" if n % 3 else "bonafide") -> Path:
    """A table of another corpus; its train and dev are there because a manifest wants them, its eval is what is scored."""
    rows = ["path,utterance_id,split,label,attack_id,speaker_id"]
    for split in ("train", "dev", "eval"):
        for number in range(N_CLIPS if split == "eval" else 3):
            name = f"{split}_{number}"
            soundfile.write(folder / f"{name}.wav", tones.tone(name, not number % 3), 16000, "PCM_16")
            of_clip = label(number) if split == "eval" else "spoof" if number % 3 else "bonafide"
            attack = f"A0{1 + number % 2}" if of_clip == "spoof" else ""
            rows.append(f"{name}.wav,{name},{split},{of_clip},{attack},{split}_s{number % 4}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    return folder / "table.csv"


def further(folder: Path, name: str = "wild", **fields: Any) -> FurtherCorpus:
    manifest = folder / "corpora" / f"{name}.parquet"
    write_manifest(build_manifest(folder / "table.csv"), manifest)
    params = FurtherCorpusParams(root=str(folder / "table.csv"), layout="auto", split="eval", **fields)
    return read_corpora({name: params}, manifest.parent)[0]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("further")
    write_corpus(folder)
    (folder / "eval_5.wav").write_bytes(b"RIFF no audio")
    return folder


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, trained: Trained, bundle: Bundle, corpus: Path) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    told: dict[str, int] = {}

    def counted(name: str, count: int) -> None:
        told[name] = told.get(name, 0) + count

    outcome = evaluate(
        trained.store,
        bundle,
        trained.params.evaluate,
        folder,
        corpora=[further(corpus), further(corpus, "same", same_attack_ids=True)],
        progress=Progress(counted=counted),
    )
    assert told == {"wild": N_CLIPS, "same": N_CLIPS}
    assert any(note.startswith("wild: 1 clips have no score (") for note in outcome.notes)
    return folder


def details_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "details.json").read_text())
    return content


def test_a_further_test_set_has_the_metrics_of_its_scores_at_the_threshold_of_dev(report: Path, bundle: Bundle) -> None:
    found, scores = details_of(report)["corpora"]["wild"], read_scores(report / "scores" / "wild.txt")
    assert scores.labels is not None
    spoof = scores.scores[scores.labels == 0]

    assert found["false_alarm"] == np.mean(spoof >= bundle.threshold)
    assert (found["n_bonafide"], found["n_spoof"], found["n_rejected"]) == (4, 7, 1)
    assert found["threshold"] == bundle.threshold
    assert found["eer_ci95_low"] <= found["eer"] <= found["eer_ci95_high"]
    assert {"cllr", "min_dcf", "uncertain", "per_attack"} <= found.keys()


def test_the_scores_are_those_of_the_front_end_of_the_model(report: Path, corpus: Path, bundle: Bundle) -> None:
    from model.detector import Detector

    scores = read_scores(report / "scores" / "wild.txt")
    paths = [corpus / f"{name}.wav" for name in scores.utterance_ids.tolist()]
    expected = [file.score for file in Detector(bundle, checks=False).score_files(paths)]

    assert np.allclose(scores.scores, np.array(expected, float), atol=1e-4)


def test_dev_and_eval_are_the_same_with_and_without_further_test_sets(
    tmp_path: Path, report: Path, trained: Trained, bundle: Bundle
) -> None:
    evaluate(trained.store, bundle, trained.params.evaluate, tmp_path)

    ours, theirs = details_of(tmp_path), details_of(report)
    assert ours == {key: value for key, value in theirs.items() if key != "corpora"}


def test_headlines_tell_of_each_test_set(report: Path) -> None:
    details = details_of(report)["corpora"]
    tracked = json.loads((report / "metrics.json").read_text())["corpora"]
    row = json.loads((report / "metrics" / "wild.json").read_text())

    assert tracked["wild"]["eer"] == row["eer"] == details["wild"]["eer"]
    assert set(row) == {"eer", "cllr", "min_dcf", "miss", "false_alarm"}


def test_a_clip_that_cannot_be_scored_is_listed_with_its_reason(report: Path) -> None:
    lines = (report / "rejects" / "wild.csv").read_text().splitlines()

    assert lines[0] == "utterance_id,path,reason,detail"
    assert [line.split(",")[:2] for line in lines[1:]] == [["eval_5", "eval_5.wav"]]


def test_ids_of_attacks_mean_the_attacks_of_train_only_where_that_is_said(report: Path) -> None:
    found = details_of(report)["corpora"]

    assert "seen_attacks" not in found["wild"]
    assert found["same"]["seen_attacks"] == {"A01": "A01", "A02": "A02"}
    assert found["same"]["seen"]["eer"] == found["same"]["eer"]


def test_breakdowns_are_written_by_attack_speaker_and_duration(report: Path) -> None:
    names = {path.name for path in (report / "breakdowns" / "wild").iterdir()}
    assert names == {"attack.csv", "duration.csv", "speaker.csv"}


@pytest.mark.parametrize(("label", "expected"), [("spoof", "false_alarm"), ("bonafide", "miss"), ("", "n_trials")])
def test_a_test_set_of_one_class_or_without_labels_is_scored(
    tmp_path: Path, trained: Trained, bundle: Bundle, label: str, expected: str
) -> None:
    write_corpus(tmp_path, lambda number: label)

    outcome = evaluate(trained.store, bundle, trained.params.evaluate, tmp_path / "report", corpora=[further(tmp_path)])

    found = outcome.metrics["corpora"]["wild"]
    assert expected in found
    assert "eer" not in found
    assert len(read_scores(tmp_path / "report" / "scores" / "wild.txt").scores) == N_CLIPS
    assert ("wild" in outcome.unlabelled) == (not label)


def test_what_is_missing_is_told_before_anything_is_scored(tmp_path: Path, corpus: Path) -> None:
    def params(**fields: str) -> dict[str, FurtherCorpusParams]:
        given = {"root": str(corpus / "table.csv"), "layout": "auto", "split": "eval"} | fields
        return {"wild": FurtherCorpusParams(**given)}  # type: ignore[arg-type]

    with pytest.raises(ModelError, match=r"evaluate.corpora.wild: nowhere: no such folder"):
        read_corpora(params(root="nowhere"), tmp_path)
    with pytest.raises(
        ModelError, match=r"wild.parquet: no such file; `dvc repro` makes it, or `bonafide manifest --root"
    ):
        read_corpora(params(), tmp_path)
    table = build_manifest(corpus / "table.csv")
    write_manifest(table.filter([split != "dev" for split in table["split"].to_pylist()]), tmp_path / "wild.parquet")
    with pytest.raises(ModelError, match="has no clip in the split dev, only in eval, train"):
        read_corpora(params(split="dev"), tmp_path)


def test_the_command_shows_further_test_sets_in_a_table(
    tmp_path: Path,
    corpus: Path,
    trained: Trained,
    tone_params: ProjectParams,
    run_bonafide: Callable[..., tuple[int, str]],
) -> None:
    further(corpus)
    content = tone_params.model_dump(mode="json")
    content["evaluate"]["corpora"] = {"wild": {"root": str(corpus / "table.csv"), "layout": "auto", "split": "eval"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))

    code, text = run_bonafide(
        *("evaluate", "--params", tmp_path / "params.yaml", "--store", trained.store.storage.url),
        *("--model", trained.model, "--output", tmp_path / "report", "--corpora", corpus / "corpora", "--no-audit"),
    )

    assert code == 0, text
    assert "Further test sets" in text
    assert "wild: 1 clips have no score" in text
    assert "chosen on" in text
