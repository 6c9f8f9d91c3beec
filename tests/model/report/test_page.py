import itertools
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import bonafide
from model.errors import ModelError
from model.evaluation.evaluate import evaluate
from model.report.page import LARGEST_PAGE, write_page
from model.report.render import script_json
from model.report.tables import attacks, unseen_attacks
from pipeline.corpus.manifest import write_manifest
from pipeline.files import write_json
from tests.support.report_material import Material
from tests.support.tone_store import tone_manifest, write_tone_store


class Elements(HTMLParser):
    """Every element with its attributes, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._inside):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def elements(page: str) -> Elements:
    return Elements(page)


def changed_metrics(material: Material, folder: Path, change: dict[str, Any]) -> Path:
    """A copy of the evaluation with other metrics of eval."""
    evaluation = folder / "evaluation"
    shutil.copytree(material.sources.evaluation, evaluation)
    metrics = json.loads((evaluation / "details.json").read_text())
    metrics["eval"] |= change
    write_json(evaluation / "details.json", metrics)
    return evaluation


def test_the_page_says_the_verdict_and_the_numbers(elements: Elements, material: Material) -> None:
    metrics = json.loads((material.sources.evaluation / "details.json").read_text())["eval"]

    assert "this detector confuses" in elements.text
    for name in ("eer", "eer_ci95_high", "balanced_accuracy"):
        assert f"{100 * metrics[name]:.1f}" in elements.text
    for heading in ("Where it fails", "The hardest clips", "Data card", "Training", "What it cannot be trusted with"):
        assert heading in elements.text
    assert material.store.config_fingerprint in elements.text


def test_attacks_of_train_are_told_from_others(elements: Elements, material: Material) -> None:
    metrics = json.loads((material.sources.evaluation / "details.json").read_text())["eval"]

    assert metrics["seen_attacks"] == {"A01": "A01"}
    for group, title in (("seen", "attacks of its training data"), ("unseen", "other attacks")):
        assert f"EER, {title}" in elements.text
        assert f"{100 * metrics[group]['eer']:.1f} % on {title}" in elements.text
    assert "Attacks of the training data and others" in elements.text


def test_it_says_whether_scores_can_be_taken_at_face_value(elements: Elements, material: Material) -> None:
    metrics = json.loads((material.sources.evaluation / "details.json").read_text())["eval"]

    assert "Calibrated on 8 genuine and 16 fake trials of dev." in elements.text
    row = elements.text.partition("calibration slope")[2][:40]
    assert f"{metrics['calibration_slope']:.3f}" in row
    assert "certain but wrong" in elements.text


def test_the_errors_can_be_seen_and_heard(elements: Elements) -> None:
    sounds = [attributes["src"] for attributes in elements.all("audio")]
    pictures = [attributes["src"] for attributes in elements.all("img")]

    assert len(sounds) == 2
    assert all(sound and sound.startswith("data:audio/flac;base64,") for sound in sounds)
    assert sum(bool(picture) and picture.startswith("data:image/png;base64,") for picture in pictures) == 4
    assert "LA_E_0000003" in elements.text
    assert "LA_E_0000004" in elements.text


def test_names_from_data_never_become_markup(page: str, elements: Elements) -> None:
    assert "<img/src=x" not in page
    assert "<script>alert" not in page
    assert "<img/src=x:/onerror=alert(1)>" in elements.text
    assert not any("onerror" in attributes for _, attributes in elements.found)


def test_json_in_a_script_cannot_end_it() -> None:
    text = script_json({"name": "</script><!--"})

    assert "<" not in text
    assert json.loads(text) == {"name": "</script><!--"}


def test_everything_is_inside_the_file(page: str, elements: Elements) -> None:
    links = [
        value
        for _, attributes in elements.found
        for key, value in attributes.items()
        if key in ("src", "href", "srcset", "data", "action") and value
    ]
    assert [link[:60] for link in links if not link.startswith(("data:", "#"))] == []
    policy = next(a for a in elements.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in str(policy["content"])
    assert len(page.encode()) < LARGEST_PAGE
    assert page.count("plotly.js v") == 1


def test_the_page_can_be_used_without_seeing_it(elements: Elements) -> None:
    assert elements.all("html")[0]["lang"] == "en"
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in elements.found}
    assert all(attributes.get("alt") for attributes in elements.all("img"))
    assert all(attributes.get("scope") in ("row", "col") for attributes in elements.all("th"))
    assert len(elements.all("table")) == len(elements.all("caption"))
    identifiers = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for _, attributes in elements.found:
        for key in ("aria-labelledby", "aria-describedby", "for", "data-for"):
            assert attributes.get(key) is None or attributes[key] in identifiers
    levels = [int(tag[1]) for tag, _ in elements.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, material: Material, page: str) -> None:
    assert material.page(tmp_path) == page


def test_without_corpus_the_page_is_made_with_a_note(tmp_path: Path, material: Material) -> None:
    elements = Elements(material.page(tmp_path, audio=None))

    assert elements.all("audio") == []
    assert "The corpus was not available" in elements.text
    assert len(elements.all("img")) >= 4


def test_without_curves_and_validation_the_page_is_made_with_notes(tmp_path: Path, material: Material) -> None:
    text = Elements(material.page(tmp_path, training=tmp_path / "no", validation=tmp_path / "no")).text

    assert "The training curves were not available" in text
    assert "The data validation was not available" in text
    assert "bonafide validate writes it" in text


def test_a_shortcut_audit_is_shown_where_there_is_one(tmp_path: Path, material: Material, elements: Elements) -> None:
    audit = {
        "trimmed": {"eer": 0.4321, "eer_ci95_low": 0.4, "eer_ci95_high": 0.5},
        "correlation": {"leading_silence_s": {"bona_fide": -0.62, "spoof": 0.1}, "level_db": {"spoof": 0.05}},
    }

    text = Elements(material.page(tmp_path, evaluation=changed_metrics(material, tmp_path, audit))).text

    assert "silence at both ends cut off" not in elements.text
    assert "43.2 %" in text
    assert "leading silence −0.62 +0.10" in text
    assert "level – +0.05" in text


def test_with_an_unlabelled_eval_split_the_verdict_is_about_dev(tmp_path: Path, material: Material) -> None:
    def change(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "label": None, "attack_id": None} if row["split"] == "eval" else row

    store = write_tone_store(tmp_path / "store", tone_manifest(change=change), material.params)
    evaluate(store, material.bundle, material.params.evaluate, tmp_path / "evaluation")
    sources = replace(material.sources, evaluation=tmp_path / "evaluation")

    result = write_page(store, material.bundle, material.params, sources, tmp_path / "index.html")

    assert result.conclusion.startswith("On the clips that its settings were chosen on")
    assert "eval has no labels: its 24 clips got scores only" in Elements((tmp_path / "index.html").read_text()).text


def test_a_missing_evaluation_says_what_to_run(tmp_path: Path, material: Material) -> None:
    with pytest.raises(ModelError, match=r"details\.json: no such file; make it with `bonafide evaluate`"):
        material.page(tmp_path, evaluation=tmp_path)


def test_an_evaluation_of_another_model_is_refused(tmp_path: Path, material: Material) -> None:
    other = changed_metrics(material, tmp_path, {"threshold": 0.123})

    with pytest.raises(ModelError, match="evaluates another model"):
        material.page(tmp_path, evaluation=other)


def test_scores_of_other_clips_are_refused(tmp_path: Path, material: Material) -> None:
    other = changed_metrics(material, tmp_path, {})
    path = other / "scores" / "eval.txt"
    path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")

    with pytest.raises(ModelError, match="scores other clips than the eval split"):
        material.page(tmp_path, evaluation=other)


def test_the_command_writes_the_page(tmp_path: Path, material: Material, page: str) -> None:
    sources = material.sources
    audio = sources.audio
    assert audio is not None
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(material.params.model_dump(mode="json"), sort_keys=False))
    write_manifest(
        tone_manifest(change=lambda row: {**row, "path": f"{row['utterance_id']}.flac"}), tmp_path / "manifest.parquet"
    )
    options = {
        "params": tmp_path / "params.yaml",
        "manifest": tmp_path / "manifest.parquet",
        "root": audio.root,
        "store": material.store.storage.url,
        "model": sources.model,
        "evaluation": sources.evaluation,
        "train-report": sources.training,
        "data-report": sources.validation,
        "output": tmp_path / "page" / "index.html",
    }

    result = CliRunner().invoke(
        bonafide.app, ["report", *(text for key, value in options.items() for text in (f"--{key}", str(value)))]
    )

    assert result.exit_code == 0, result.output
    assert (tmp_path / "page" / "index.html").read_text() == page


def test_robustness_table_is_shown_with_the_condition_that_changes_most_first(
    tmp_path: Path, material: Material
) -> None:
    evaluation = tmp_path / "evaluation"
    shutil.copytree(material.sources.evaluation, evaluation)
    rates = {"miss": 0.125, "false_alarm": 0.25, "uncertain": 0.5, "certain_wrong": 0.0625}
    conditions = [
        {"name": name, "title": title, "eer": eer, "eer_ci95": interval, "changed": changed, **rates}
        for name, title, eer, interval, changed in (
            ("unchanged", "as recorded", 0.1, [0.05, 0.2], 0.0),
            ("gain_up", "10 dB louder", 0.11, None, 0.03),
            ("mp3", "MP3 <128>", 0.6, [0.5, 0.7], 0.4321),
        )
    ]
    lacking = [{"name": "aac", "title": "AAC, 64 kbit/s", "missing": "av"}]
    content = {"split": "eval", "n_bonafide": 100, "n_spoof": 90, "conditions": conditions, "not_measured": lacking}
    write_json(evaluation / "robustness.json", content)

    text = Elements(material.page(tmp_path, evaluation=evaluation)).text

    assert "The same 100 genuine and 90 fake clips of eval under each condition" in text
    table = text[text.index("certain but wrong") :]
    assert table.index("as recorded") < table.index("MP3 <128>") < table.index("10 dB louder")
    row = table[table.index("MP3 <128>") : table.index("10 dB louder")].replace("\u202f", " ")
    assert " ".join(row.split()) == "MP3 <128> 60.0 % 50.0 to 70.0 % 43.2 % 12.5 % 25.0 % 50.0 % 6.2 %"
    assert "not measured: the package av was not installed" in table[table.index("AAC, 64 kbit/s") :]


def test_page_says_where_there_is_no_robustness_table(elements: Elements) -> None:
    assert "The robustness table is left out" in elements.text


def test_damaged_robustness_table_is_named(tmp_path: Path, material: Material) -> None:
    evaluation = tmp_path / "evaluation"
    shutil.copytree(material.sources.evaluation, evaluation)
    (evaluation / "robustness.json").write_text("{")
    with pytest.raises(ModelError, match=r"robustness\.json cannot be read"):
        material.page(tmp_path, evaluation=evaluation)


def test_further_test_sets_are_rows_of_a_table_beside_eval(tmp_path: Path, material: Material) -> None:
    metrics = json.loads((material.sources.evaluation / "details.json").read_text())
    wild = {key: value for key, value in metrics["eval"].items() if not key.startswith("seen")} | {
        "n_rejected": 7,
        "eer": 0.3456,
        "per_attack": {"A77": {"eer": 0.4, "false_alarm": 0.5, "n_spoof": 9}},
    }
    fakes = {
        "n_trials": 30,
        "n_bonafide": 0,
        "n_spoof": 30,
        "n_rejected": 0,
        "threshold": 0.0,
        "false_alarm": 0.6543,
        "uncertain": 0.1,
        "certain_wrong": 0.2,
        "per_attack": {"X1": {"false_alarm": 0.25, "n_spoof": 30}},
    }
    metrics["corpora"] = {"wild": wild, "fakes": fakes, "secret": {"n_trials": 12, "n_rejected": 0}}
    evaluation = tmp_path / "evaluation"
    shutil.copytree(material.sources.evaluation, evaluation)
    write_json(evaluation / "details.json", metrics)

    text = Elements(material.page(tmp_path, evaluation=evaluation)).text

    assert "On other corpora" in text
    for part in ("34.6", "65.4", "one class only: no EER", "no labels: scores only", "A77", "X1"):
        assert part in text, part
    assert "34.6 % on wild" in text, "the limits name it"


def test_without_further_test_sets_there_is_no_such_section(elements: Elements) -> None:
    assert "On other corpora" not in elements.text
    assert "No other corpus was tested" in elements.text


def test_the_eer_has_every_interval_that_can_be_drawn_and_not_the_narrow_one_alone(
    tmp_path: Path, material: Material
) -> None:
    change = {"drawn": "clip", "eer_ci95_low": 0.291, "eer_ci95_high": 0.352}
    change |= {"eer_attack_ci95_low": 0.213, "eer_attack_ci95_high": 0.424}
    page = Elements(material.page(tmp_path, evaluation=changed_metrics(material, tmp_path, change)))

    assert "95 %, other attacks: 21.3 to 42.4" in page.text
    assert "95 %, other clips: 29.1 to 35.2" in page.text
    assert page.text.index("21.3 to 42.4") < page.text.index("29.1 to 35.2"), "the widest first"


def test_eval_of_one_class_is_told_and_the_conclusion_is_about_dev(tmp_path: Path, material: Material) -> None:
    evaluation = tmp_path / "evaluation"
    shutil.copytree(material.sources.evaluation, evaluation)
    metrics = json.loads((evaluation / "details.json").read_text())
    metrics["eval"] = {
        "n_trials": 24,
        "n_bonafide": 0,
        "n_spoof": 24,
        "threshold": 0.0,
        "false_alarm": 0.75,
        "per_attack": {},
    }
    write_json(evaluation / "details.json", metrics)

    text = Elements(material.page(tmp_path, evaluation=evaluation)).text

    assert "eval holds one class: 75.0 % of its 24 fakes are accepted" in text
    assert "On the clips that its settings were chosen on" in text


def test_the_band_is_told_per_class_and_as_what_it_is(elements: Elements) -> None:
    assert "The band was chosen so that at most 5 % of each class is wrong outside it" in elements.text
    assert "of the genuine ones and" in elements.text


def test_attacks_of_another_corpus_are_neither_seen_nor_unseen() -> None:
    metrics = {"per_attack": {"A01": {"eer": 0.1, "false_alarm": 0.1, "n_spoof": 5}}}
    assert [attack.is_known for attack in attacks(metrics)] == [False]
    assert unseen_attacks(metrics) == []


def test_a_detector_with_one_score_for_every_clip_is_said_to_tell_nothing(tmp_path: Path, material: Material) -> None:
    evaluation = changed_metrics(material, tmp_path, {"is_constant": True, "eer": 0.5})
    assert "gives the same score to every clip of eval" in material.page(tmp_path, evaluation=evaluation)
