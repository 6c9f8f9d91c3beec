import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import typer
import yaml
from typer.testing import CliRunner

from model import cli
from model.bundle import Bundle
from model.errors import ModelError
from model.evaluation.evaluate import evaluate
from model.metrics import HEADLINES, InvertedLabelsWarning, read_score_table, read_scores
from pipeline.corpus.fields import pack_fields
from pipeline.store import FeatureStore
from tests.support.parameters import ProjectParams
from tests.support.synthetic_store import files_of
from tests.support.tone_store import tone_manifest, write_tone_store
from tests.support.trained_model import Trained


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, trained: Trained, bundle: Bundle) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    evaluate(trained.store, bundle, trained.params.evaluate, folder)
    return folder


def metrics_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "details.json").read_text())
    return content


def eval_store(folder: Path, params: ProjectParams, **changes: Any) -> FeatureStore:
    """The tones with other fields in the eval split."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, **changes} if row["split"] == "eval" else row

    return write_tone_store(folder, tone_manifest(change=change), params)


def test_score_files_have_the_form_of_asvspoof_and_are_sorted(report: Path, trained: Trained) -> None:
    rows = {row["utterance_id"]: row for row in trained.store.select(copy=0).index.to_pylist()}

    for split in ("dev", "eval"):
        lines = [line.split() for line in (report / "scores" / f"{split}.txt").read_text().splitlines()]
        assert [line[0] for line in lines] == sorted(name for name, row in rows.items() if row["split"] == split)
        for name, attack, label, score in lines:
            assert attack == (rows[name]["attack_id"] or "-")
            assert label == ("bonafide" if rows[name]["label"] else "spoof")
            assert np.isfinite(float(score))


def test_every_metric_is_there_as_a_scalar_with_its_interval(report: Path) -> None:
    metrics = metrics_of(report)

    for split in ("dev", "eval"):
        found = metrics[split]
        for name in HEADLINES.keys() - {"min_tdcf_2019", "min_tdcf_2021"}:
            assert found[f"{name}_ci95_low"] <= found[f"{name}_ci95_high"]
            assert isinstance(found[name], float)
        assert set(found["per_attack"]) == {"A01", "A02"}
        assert 0 <= found["per_attack"]["A01"]["eer"] <= 1
        assert (found["n_bonafide"], found["n_spoof"]) == (8, 16)
        assert 0 <= found["uncertain"] <= 1
    assert metrics["dev"]["cllr"] <= metrics["dev"]["cllr_before_calibration"] + 0.05


def test_metrics_json_holds_the_headlines_and_details_the_rest(report: Path) -> None:
    headlines = json.loads((report / "metrics.json").read_text())
    details = metrics_of(report)

    assert headlines["eval"]["eer"] == details["eval"]["eer"]
    assert headlines["eval"]["calibration_slope"] == details["eval"]["calibration_slope"]
    assert "per_attack" not in headlines["eval"]
    assert details["eval"]["seen_attacks"] == {"A01": "A01", "A02": "A02"}
    assert "unseen" not in details["eval"], "the attacks of eval are those of train here"


def test_the_threshold_of_both_splits_is_that_of_dev(report: Path, bundle: Bundle) -> None:
    metrics = metrics_of(report)

    assert metrics["dev"]["threshold"] == metrics["eval"]["threshold"] == bundle.threshold
    assert metrics["dev"]["eer_threshold"] == pytest.approx(bundle.threshold, abs=1e-4)


def test_dev_scores_are_those_that_the_model_was_calibrated_with(report: Path, bundle: Bundle) -> None:
    table = read_score_table(report / "scores" / "dev.txt")

    assert table.utterance_ids.tolist() == bundle.development.utterance_ids.tolist()
    assert np.allclose(table.scores, bundle.development.scores, atol=1e-4)


def test_twice_gives_the_same_bytes(tmp_path: Path, report: Path, trained: Trained, bundle: Bundle) -> None:
    evaluate(trained.store, bundle, trained.params.evaluate, tmp_path)

    assert files_of(tmp_path) == files_of(report)


def test_scores_do_not_depend_on_the_order_of_the_corpus(
    tmp_path: Path, report: Path, bundle: Bundle, tone_params: ProjectParams
) -> None:
    table = tone_manifest()
    backwards = pa.Table.from_pylist(table.to_pylist()[::-1], schema=table.schema)
    elsewhere = tone_params.model_copy(update={"store": tone_params.store.model_copy(update={"shards": 5})})
    store = write_tone_store(tmp_path / "store", backwards, elsewhere)

    evaluate(store, bundle, tone_params.evaluate, tmp_path / "report")

    for split in ("dev", "eval"):
        ours, theirs = (
            read_score_table(folder / "scores" / f"{split}.txt") for folder in (tmp_path / "report", report)
        )
        assert ours.utterance_ids.tolist() == theirs.utterance_ids.tolist()
        assert ours.labels.tolist() == theirs.labels.tolist()
        assert np.allclose(ours.scores, theirs.scores, atol=1e-4)


def test_error_rates_are_broken_down_by_the_fields_of_the_protocol(
    tmp_path: Path, bundle: Bundle, tone_params: ProjectParams
) -> None:
    def change(row: dict[str, Any]) -> dict[str, Any]:
        number = int(row["utterance_id"].rsplit("_", 1)[1])
        fields = {"codec": "alaw" if number % 2 else "g722", "take/one": "yes", "duration": str(number % 3)}
        return {**row, "fields": pack_fields(fields)} if row["split"] == "eval" else row

    store = write_tone_store(tmp_path / "store", tone_manifest(change=change), tone_params)
    evaluate(store, bundle, tone_params.evaluate, tmp_path / "all")
    found = {file.stem: file.read_text() for file in (tmp_path / "all" / "breakdowns" / "eval").iterdir()}
    assert set(found) == {"attack", "duration", "speaker", "codec", "take_one", "protocol_duration"}
    rows = list(csv.DictReader(io.StringIO(found["codec"])))
    assert {row["codec"] for row in rows} == {"alaw", "g722"}
    assert sum(int(row["n_bonafide"]) + int(row["n_spoof"]) for row in rows) == 24
    assert {file.stem for file in (tmp_path / "all" / "breakdowns" / "dev").iterdir()} == {
        "attack",
        "duration",
        "speaker",
    }

    chosen = tone_params.evaluate.model_copy(update={"breakdowns": ("codec",)})
    evaluate(store, bundle, chosen, tmp_path / "chosen")
    assert {file.stem for file in (tmp_path / "chosen" / "breakdowns" / "eval").iterdir()} == {
        "attack",
        "duration",
        "speaker",
        "codec",
    }
    unknown = tone_params.evaluate.model_copy(update={"breakdowns": ("codek",)})
    with pytest.raises(ModelError, match="codek: no test set has such a field; there are codec, duration, take/one"):
        evaluate(store, bundle, unknown, tmp_path / "unknown")


def test_inverted_labels_of_eval_warn(tmp_path: Path, bundle: Bundle, tone_params: ProjectParams) -> None:
    def invert(row: dict[str, Any]) -> dict[str, Any]:
        label = 1 - row["label"]
        return {**row, "label": label, "attack_id": None if label else "A01"} if row["split"] == "eval" else row

    store = write_tone_store(tmp_path / "store", tone_manifest(change=invert), tone_params)

    with pytest.warns(InvertedLabelsWarning, match="eval: EER is .* Labels may be inverted"):
        outcome = evaluate(store, bundle, tone_params.evaluate, tmp_path / "report")
    assert outcome.metrics["eval"]["eer"] > 0.5


def test_an_unlabelled_eval_split_gets_scores_only(
    tmp_path: Path, report: Path, bundle: Bundle, tone_params: ProjectParams
) -> None:
    store = eval_store(tmp_path / "store", tone_params, label=None, attack_id=None)

    outcome = evaluate(store, bundle, tone_params.evaluate, tmp_path / "report")

    scores = read_scores(tmp_path / "report" / "scores" / "eval.txt")
    assert scores.labels is None
    assert np.allclose(scores.scores, read_scores(report / "scores" / "eval.txt").scores, atol=1e-4)
    assert outcome.unlabelled == ["eval"]
    assert outcome.metrics["eval"] == {"n_trials": 24}
    assert outcome.metrics["dev"] == metrics_of(report)["dev"]
    plots = tmp_path / "report" / "plots" / "eval"
    assert {json.dumps(json.loads(path.read_text())) for path in plots.iterdir()} == {"[]"}
    assert {path.name for path in plots.iterdir()} == {path.name for path in (report / "plots" / "eval").iterdir()}


def test_one_class_only_in_eval_gets_its_error_rate_and_no_eer(
    tmp_path: Path, report: Path, bundle: Bundle, tone_params: ProjectParams
) -> None:
    store = eval_store(tmp_path / "store", tone_params, label=0, attack_id="A07")

    outcome = evaluate(store, bundle, tone_params.evaluate, tmp_path / "report")

    found, scores = outcome.metrics["eval"], read_scores(tmp_path / "report" / "scores" / "eval.txt")
    assert found["false_alarm"] == np.mean(scores.scores >= bundle.threshold)
    assert found["per_attack"] == {"A07": {"false_alarm": found["false_alarm"], "n_spoof": 24}}
    assert not [name for name in found if name.startswith(("eer", "cllr", "miss", "bonafide"))]
    assert found["spoof_wrong"] + found["spoof_uncertain"] <= 1
    assert "eval holds one class" in " ".join(outcome.notes)
    headlines = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert headlines["eval"]["false_alarm"] == found["false_alarm"]
    assert json.loads((tmp_path / "report" / "metrics" / "eval.json").read_text()) == {
        "false_alarm": found["false_alarm"]
    }
    plots = tmp_path / "report" / "plots" / "eval"
    assert {path.name for path in plots.iterdir()} == {path.name for path in (report / "plots" / "eval").iterdir()}


def test_each_test_set_has_a_file_of_the_metrics_that_dvc_shows(report: Path) -> None:
    details = metrics_of(report)
    rows = {path.stem: json.loads(path.read_text()) for path in (report / "metrics").iterdir()}

    assert rows.keys() == {"dev", "eval", "eval_seen"}
    for split in ("dev", "eval"):
        assert rows[split] == {key: details[split][key] for key in ("eer", "cllr", "min_dcf", "miss", "false_alarm")}
    assert rows["eval_seen"]["eer"] == details["eval"]["seen"]["eer"]


def test_the_band_is_told_for_the_trials_it_was_chosen_on_and_measured_on_eval(report: Path, bundle: Bundle) -> None:
    metrics = metrics_of(report)
    band, found = metrics["abstain_band"], read_scores(report / "scores" / "eval.txt")

    assert band["chosen_on"]["bonafide_wrong"] <= band["error_rate"]
    assert band["chosen_on"]["spoof_uncertain"] == band["spoof_uncertain"]
    spoof = found.scores[np.array(found.labels) == 0]
    uncertain = np.mean((spoof >= band["low"]) & (spoof < band["high"]))
    assert metrics["eval"]["spoof_uncertain"] == uncertain
    assert {"bonafide_uncertain", "bonafide_wrong", "spoof_wrong"} <= metrics["eval"].keys()


def test_what_an_earlier_evaluation_left_is_removed(
    tmp_path: Path, trained: Trained, bundle: Bundle, report: Path
) -> None:
    (tmp_path / "plots" / "test").mkdir(parents=True)
    (tmp_path / "plots" / "test" / "roc.json").write_text("[]")

    evaluate(trained.store, bundle, trained.params.evaluate, tmp_path)

    assert files_of(tmp_path).keys() == files_of(report).keys()


def test_plots_are_records_whose_rates_are_rates(report: Path) -> None:
    fields = {
        "roc": {"false_alarm", "hit"},
        "precision_recall": {"precision", "recall", "chance"},
        "det": {"false_alarm", "miss", "false_alarm_deviate", "miss_deviate"},
        "confusion": {"actual", "predicted", "count"},
        "score_histogram": {"score", "width", "bona_fide", "spoof"},
        "calibration": {"predicted", "observed"},
        "per_attack_eer": {"attack", "eer"},
    }
    for split in ("dev", "eval"):
        for name, expected in fields.items():
            records = json.loads((report / "plots" / split / f"{name}.json").read_text())
            assert isinstance(records, list)
            assert all(set(record) == expected for record in records)
            for record in records:
                for field in set(record) - {
                    "score",
                    "width",
                    "attack",
                    "actual",
                    "predicted",
                    "count",
                    "false_alarm_deviate",
                    "miss_deviate",
                }:
                    assert 0 <= record[field] <= 1, (name, field)


def test_the_confusion_plot_counts_what_the_metrics_count(report: Path) -> None:
    found = metrics_of(report)["eval"]
    records = json.loads((report / "plots" / "eval" / "confusion.json").read_text())

    right = sum(record["count"] for record in records if record["actual"] == record["predicted"])
    n_trials = sum(record["count"] for record in records)
    assert len(records) == 4
    assert n_trials == found["n_trials"]
    assert right / n_trials == pytest.approx(found["accuracy"])


def test_curves_of_many_trials_are_thinned_but_keep_their_ends(report: Path) -> None:
    from model.evaluation.curves import plots
    from model.metrics import score_table

    draw = np.random.default_rng(1)
    labels = np.arange(20000) % 2
    table = score_table([str(n) for n in range(20000)], draw.normal(labels * 2.0, 1), labels)

    roc = plots(table, 0.0, 0.5, {})["roc"]

    assert len(roc) <= 400
    assert (roc[0]["false_alarm"], roc[-1]["hit"]) == (0, 1)


def test_spectrograms_of_both_classes_are_drawn(report: Path) -> None:
    picture = (report / "plots" / "examples.png").read_bytes()

    assert picture.startswith(b"\x89PNG")
    assert b"matplotlib" not in picture.lower(), "a new version of the library is no new picture"


def test_the_commands_train_and_evaluate_do_the_same(tmp_path: Path, trained: Trained, report: Path) -> None:
    app = typer.Typer()
    cli.register(app)
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(trained.params.model_dump(mode="json")))
    store, model = ["--store", trained.store.storage.url, "--params", str(params)], tmp_path / "model"

    fitted = CliRunner().invoke(app, ["train", *store, "--output", str(model), "--report", str(tmp_path / "train")])
    judged = CliRunner().invoke(
        app, ["evaluate", *store, "--model", str(model), "--output", str(tmp_path / "evaluation"), "--no-audit"]
    )

    assert fitted.exit_code == judged.exit_code == 0, (fitted.output, judged.output)
    assert files_of(model) == files_of(trained.model)
    assert files_of(tmp_path / "evaluation") == files_of(report)
    assert "dev EER" in fitted.output
    assert "minDCF" in judged.output
    for row in ("EER, attacks of train %", "calibration slope", "certain but wrong %"):
        assert row in judged.output
    assert "with 95 % intervals" in " ".join(judged.output.split())
